"""What each simulating process does. A module of its own, so that a spawned process can import it."""

import os
from typing import Any

interleaver: Any = None


def prepare_from(names: Any) -> None:
    """`names`: a queue with a name for each process."""
    prepare(names.get())


def prepare(name: str) -> None:
    """Set up Django, a database of this process's own, and the threads."""
    global interleaver
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from tests.simulation.world.databases import create_database
    from tests.simulation.world.interleave import Interleaver

    create_database(name)
    interleaver = Interleaver()


def run_seed(seed: int, personality: str) -> tuple[bool, list[str]]:
    """Whether the seed passed, and its journal."""
    from tests.simulation.seeds import simulate
    from tests.simulation.world.world import InvariantBroken

    try:
        return True, simulate(seed, personality, interleaver).journal
    except InvariantBroken as broken:
        return False, [*broken.journal, str(broken)]


def run_seeds(work: tuple[str, int, int]) -> tuple[int, list[tuple[str, int, str]]]:
    """The number of seeds that ran, and those that failed: personality, seed, violation."""
    personality, first, last = work
    results = [(seed, *run_seed(seed, personality)) for seed in range(first, last)]
    return len(results), [(personality, seed, journal[-1]) for seed, ok, journal in results if not ok]
