"""The home page's drawings, as numbers that a template writes into SVG: no script, nothing to load."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from invoices.counters import STEP

WIDTH, HEIGHT = 960, 200
NARROW = 600  # of the durations, which stand beside the day
LANDMARKS = {1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 7200: "2 h"}


@dataclass(frozen=True, slots=True)
class Block:
    x: float
    y: float
    width: float
    height: float
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    blocks: list[Block]
    told: str  # on hovering, and to those who cannot see it


@dataclass(frozen=True, slots=True)
class Mark:
    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    bars: list[Bar]
    across: list[Mark]  # on the x axis
    up: list[Mark]  # on the y axis
    width: int = WIDTH
    height: int = HEIGHT


Counts = Mapping[datetime, Mapping[str, int]]  # by begin and kind


def stacked(start: datetime, step: timedelta, counts: Counts, kinds: Sequence[str]) -> Chart:
    """A day in stacked bars, the first kind at the bottom."""
    slots = round(timedelta(days=1) / step)
    width = WIDTH / slots
    top = nice(max((sum(of.values()) for of in counts.values()), default=0))
    bars = []
    for at, of in sorted(counts.items()):
        x, base, blocks = (at - start) / step * width, float(HEIGHT), []
        for kind in kinds:
            if of.get(kind):
                height = max(of[kind] / top * HEIGHT, 1.5)
                base -= height
                blocks.append(Block(x + 1, base, width - 2, height, kind.lower()))
        told = ", ".join(f"{of[kind]:,} {kind.lower()}" for kind in kinds if of.get(kind))
        begin = timezone.localtime(at)
        bars.append(Bar(blocks, f"{begin:%H:%M}–{begin + step:%H:%M}: {told}"))
    hours = [Mark(hour / 24 * WIDTH, f"{hour:02d}:00") for hour in range(0, 24, 4)]
    return Chart(bars, hours, [Mark(HEIGHT / 2, short(top / 2)), Mark(0, short(top))])


def durations(counts: Mapping[int, int]) -> Chart:
    """How many took how long, on a scale on which each step is longer by a fixed factor."""
    first, last = min(counts, default=0), max(counts, default=0)
    first, last = min(first, math.floor(math.log(1, STEP))), max(last, math.ceil(math.log(7200, STEP)))
    width, top = NARROW / (last - first + 1), max(counts.values(), default=1)
    bars = []
    for at, count in sorted(counts.items()):
        height = max(count / top * HEIGHT, 1.5)
        block = Block((at - first) * width + 1, HEIGHT - height, width - 2, height)
        bars.append(Bar([block], f"{span(STEP**at)} to {span(STEP ** (at + 1))}: {count:,}"))
    marks = [Mark((math.log(s, STEP) - first) * width, text) for s, text in LANDMARKS.items()]
    return Chart(bars, marks, [], NARROW)


def nice(value: float) -> int:
    """The next round number up: 1, 2 or 5 and zeros, and even."""
    if value <= 2:
        return 2
    tens = 10 ** math.floor(math.log10(value))
    return next(step * tens for step in (1, 2, 4, 6, 8, 10) if step * tens >= value)


def short(number: float) -> str:
    """4000 → 4k, 1234567 → 1.23M; a small number as it is."""
    for size, letter in ((1_000_000, "M"), (1000, "k")):
        if number >= 10 * size or (number >= size and not number % (size / 10)):
            return f"{number / size:.3g}{letter}"
    return f"{number:,.0f}"


def span(seconds: float) -> str:
    """A duration in the unit that people would use."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    for size, unit, until in ((1, "s", 100), (60, "min", 5940), (3600, "h", 172_800)):
        if seconds < until:
            amount = seconds / size
            return f"{amount:.1f} {unit}" if unit == "h" and amount < 10 else f"{amount:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"
