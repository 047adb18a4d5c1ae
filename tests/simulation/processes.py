"""What each simulating process does: a module of its own, so that a spawned process can import it."""

import os
from typing import Any

interleaver: Any = None


def prepare_from(names: Any) -> None:
    prepare(names.get())


def prepare(name: str) -> None:
    """Django, a database of one's own, and the threads."""
    global interleaver
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from tests.simulation.databases import make
    from tests.simulation.interleave import Interleaver

    make(name)
    interleaver = Interleaver()


def run_seed(seed: int, personality: str) -> tuple[bool, list[str]]:
    """Did the seed pass, and its story."""
    from tests.simulation.seeds import simulate
    from tests.simulation.world import InvariantBroken

    try:
        return True, simulate(seed, personality, interleaver).journal
    except InvariantBroken as broken:
        return False, [*broken.journal, str(broken)]


def run_seeds(work: tuple[str, int, int]) -> tuple[int, list[tuple[str, int, str]]]:
    """How many seeds were run, and those that broke."""
    personality, first, last = work
    results = [(seed, *run_seed(seed, personality)) for seed in range(first, last)]
    return len(results), [(personality, seed, story[-1]) for seed, ok, story in results if not ok]
