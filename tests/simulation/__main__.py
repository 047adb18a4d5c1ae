"""python -m tests.simulation [--seeds N --first N | --seed N] [--personality strict|forgetful] [--breaks]"""

import argparse
import multiprocessing
import os
import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from tests.simulation import processes

PERSONALITIES = ("strict", "forgetful")
CHUNK = 20
REPORT_EVERY = 1000  # runs between two lines of output without a terminal
console = Console()


def main() -> int:
    options = argparse.ArgumentParser(prog="simulate")
    options.add_argument("--seeds", type=int, default=10000)
    options.add_argument("--first", type=int, default=0, help="the first seed to run")
    options.add_argument("--seed", type=int, help="run this seed only and print its steps")
    options.add_argument("--personality", choices=PERSONALITIES)
    options.add_argument(
        "--breaks", nargs="?", const="", metavar="NAME", help="plant each bug whose name has this, and count the seeds"
    )
    options.add_argument("--processes", type=int, default=os.cpu_count())
    chosen = options.parse_args()
    personalities = [chosen.personality] if chosen.personality else list(PERSONALITIES)
    if chosen.breaks is not None:
        return _breaks([*personalities], chosen.breaks)
    if chosen.seed is not None:
        return _one(chosen.seed, personalities)
    return _many(range(chosen.first, chosen.first + chosen.seeds), personalities, chosen.processes)


def _one(seed: int, personalities: list[str]) -> int:
    """Run one seed and print its steps."""
    processes.prepare("one")
    failures = 0
    for personality in personalities:
        ok, journal = processes.run_seed(seed, personality)
        console.print("\n".join(journal), markup=False, highlight=False)
        failures += not ok
    return int(failures > 0)


def _many(seeds: range, personalities: list[str], cores: int) -> int:
    work = [(p, first, min(first + CHUNK, seeds.stop)) for first in seeds[::CHUNK] for p in personalities]
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]}"),
    )
    started, failures = time.monotonic(), []
    names = multiprocessing.get_context("spawn").Queue()
    for at in range(cores):
        names.put(str(at))
    with (
        multiprocessing.get_context("spawn").Pool(cores, processes.prepare_from, (names,)) as pool,
        Progress(*columns, console=console) as progress,
    ):
        bar = progress.add_task("seeds", total=len(seeds) * len(personalities), failed="")
        for done, broken in pool.imap_unordered(processes.run_seeds, work):
            failures += broken
            progress.update(bar, advance=done, failed=f"[red]{len(failures)} failed" if failures else "")
            ran = int(progress.tasks[bar].completed)
            if not console.is_terminal and ran % REPORT_EVERY < done:
                console.print(f"{ran} runs, {len(failures)} failed, {time.monotonic() - started:.0f} s")
            for personality, seed, what in broken:
                progress.console.print(f"[red]failed[/red] make simulate SEED={seed} PERSONALITY={personality}: {what}")
    total, seconds = len(seeds) * len(personalities), time.monotonic() - started
    console.print(
        f"{total} runs, {len(failures)} failed, {seconds:.0f} s, {seconds * cores / total:.3f} s a seed and core"
    )
    return int(bool(failures))


def _breaks(personalities: list[str], part: str) -> int:
    """Print after how many seeds each break is caught. Raises BreakHasNoEffect."""
    processes.prepare(f"breaks_{os.getpid()}")
    from tests.simulation.breaks.planting import BREAKS, seeds_until_caught

    table = Table("break", *personalities, "caught by")
    missed = 0
    for name in (name for name in BREAKS if part in name):
        results = {p: seeds_until_caught(name, p, processes.interleaver) for p in personalities}
        counts = [str(seeds) if what else f"not in {seeds}" for seeds, what in results.values()]
        missed += not any(what for _, what in results.values())
        table.add_row(name, *counts, next((what for _, what in results.values() if what), "NOT CAUGHT")[:110])
        console.print(f"{name}: {counts} {[what[:90] for _, what in results.values()]}", markup=False)
    console.print(table)
    return int(missed > 0)


if __name__ == "__main__":
    # Imported by name, so that a spawned process, whose __main__ is another module, can find these functions.
    from tests.simulation.__main__ import main as run

    sys.exit(run())
