"""The home page's charts as coordinates, which chart.html renders as SVG without a script."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from invoices.counters import BUCKET_STEP

WIDTH, HEIGHT = 960, 200
NARROW_WIDTH = 600  # width of the duration chart
DURATION_MARKS = {1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 7200: "2 h"}


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
    label: str  # tooltip and accessible name


@dataclass(frozen=True, slots=True)
class Mark:
    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    bars: list[Bar]
    x_axis: list[Mark]
    y_axis: list[Mark]
    width: int = WIDTH
    height: int = HEIGHT


Counts = Mapping[datetime, Mapping[str, int]]  # by start of the interval, then by kind


def stacked_bars(start: datetime, step: timedelta, counts: Counts, kinds: Sequence[str]) -> Chart:
    """One day; the first kind is at the bottom of each bar."""
    slots = round(timedelta(days=1) / step)
    width = WIDTH / slots
    top = round_up(max((sum(by_kind.values()) for by_kind in counts.values()), default=0))
    bars = []
    for at, by_kind in sorted(counts.items()):
        x, base, blocks = (at - start) / step * width, float(HEIGHT), []
        for kind in kinds:
            if by_kind.get(kind):
                height = max(by_kind[kind] / top * HEIGHT, 1.5)
                base -= height
                blocks.append(Block(x + 1, base, width - 2, height, kind.lower()))
        numbers = ", ".join(f"{by_kind[kind]:,} {kind.lower()}" for kind in kinds if by_kind.get(kind))
        begin = timezone.localtime(at)
        bars.append(Bar(blocks, f"{begin:%H:%M}–{begin + step:%H:%M}: {numbers}"))
    hours = [Mark(hour / 24 * WIDTH, f"{hour:02d}:00") for hour in range(0, 24, 4)]
    return Chart(bars, hours, [Mark(HEIGHT / 2, abbreviate(top / 2)), Mark(0, abbreviate(top))])


def duration_bars(counts: Mapping[int, int]) -> Chart:
    """Counts by bucket of seconds, on a logarithmic x axis."""
    first, last = min(counts, default=0), max(counts, default=0)
    first, last = min(first, math.floor(math.log(1, BUCKET_STEP))), max(last, math.ceil(math.log(7200, BUCKET_STEP)))
    width, top = NARROW_WIDTH / (last - first + 1), max(counts.values(), default=1)
    bars = []
    for at, count in sorted(counts.items()):
        height = max(count / top * HEIGHT, 1.5)
        block = Block((at - first) * width + 1, HEIGHT - height, width - 2, height)
        bars.append(
            Bar([block], f"{format_duration(BUCKET_STEP**at)} to {format_duration(BUCKET_STEP ** (at + 1))}: {count:,}")
        )
    marks = [Mark((math.log(s, BUCKET_STEP) - first) * width, text) for s, text in DURATION_MARKS.items()]
    return Chart(bars, marks, [], NARROW_WIDTH)


def round_up(value: float) -> int:
    """The next of 2, 4, 6, 8, 10, 20, 40 …: an even number, so that its half is whole."""
    if value <= 2:
        return 2
    tens = 10 ** math.floor(math.log10(value))
    return next(step * tens for step in (1, 2, 4, 6, 8, 10) if step * tens >= value)


def abbreviate(number: float) -> str:
    """4000 → 4k, 1234567 → 1.23M. Small numbers are not abbreviated."""
    for size, letter in ((1_000_000, "M"), (1000, "k")):
        if number >= 10 * size or (number >= size and not number % (size / 10)):
            return f"{number / size:.3g}{letter}"
    return f"{number:,.0f}"


def format_duration(seconds: float) -> str:
    """90 → 90 s, 600 → 10 min, 7200 → 2.0 h."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    for size, unit, until in ((1, "s", 100), (60, "min", 5940), (3600, "h", 172_800)):
        if seconds < until:
            amount = seconds / size
            return f"{amount:.1f} {unit}" if unit == "h" and amount < 10 else f"{amount:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"
