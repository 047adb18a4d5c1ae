"""Plant a bug, and count the seeds until the simulation catches it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.simulation.breaks.absence import ABSENCE
from tests.simulation.breaks.calls import CALLS
from tests.simulation.breaks.edits import BreakHasNoEffect, Edit, edited
from tests.simulation.breaks.late_answers import LATE_ANSWERS
from tests.simulation.breaks.takes import TAKES
from tests.simulation.seeds import simulate
from tests.simulation.world.interleave import Interleaver
from tests.simulation.world.world import InvariantBroken

MOST_SEEDS = 100  # a break that these do not catch is not caught
EDITS: dict[str, tuple[Edit, ...]] = {**LATE_ANSWERS, **ABSENCE, **TAKES}
BREAKS = (*CALLS, *EDITS)


@dataclass
class Effects:
    count: int = 0

    def add(self) -> None:
        self.count += 1


@contextmanager
def planted(name: str) -> Iterator[Effects]:
    """The break of that name is in the code. `count`: how often it changed the product. Raises BreakHasNoEffect."""
    effects = Effects()
    if name in EDITS:
        with edited(EDITS[name]):
            effects.add()
            yield effects
    else:
        with CALLS[name](effects.add):
            yield effects


def seeds_until_caught(name: str, personality: str, interleaver: Interleaver) -> tuple[int, str]:
    """The number of seeds that ran, and the violation in the last of them ("": none). Raises BreakHasNoEffect."""
    seeds, violation = 0, ""
    with planted(name) as effects:
        while seeds < MOST_SEEDS and not violation:
            try:
                simulate(seeds, personality, interleaver)
            except InvariantBroken as broken:
                violation = broken.what
            seeds += 1
    if not effects.count:
        raise BreakHasNoEffect(f"{name}: no effect in {seeds} seeds, {violation or 'no violation'}")
    return seeds, violation
