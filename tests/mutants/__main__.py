"""`make mutants`: draw mutants of the deciding modules by seed, run the tests that touch each, print who survived."""

import json
import os
import random
import subprocess
import sys
import threading
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.mutants.coverage_map import measure
from tests.mutants.operators import Mutant, mutants_of

MODULES = [
    "invoices/issuing/decide/*.py", "invoices/issuing/take.py", "invoices/issuing/lookups.py",
    "invoices/issuing/record.py", "invoices/issuing/parked_accounts.py", "invoices/moving.py", "invoices/audit.py",
    "invoices/opening/*.py", "invoices/operations/claim.py", "webhooks/inbound/receiving.py",
    "webhooks/inbound/signatures.py", "config/rest/identity.py", "invoices/providers/viettel/*.py",
]  # fmt: skip
FOLDER = Path(".local/mutants")
console = Console()


def main() -> int:
    parser = ArgumentParser(prog="make mutants")
    parser.add_argument("--mutants", type=int, default=400, help="how many are drawn")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--module", help="only paths that contain this")
    parser.add_argument("--line", type=int, help="with --module: only this line")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 2)
    options = parser.parse_args()
    paths = sorted({str(path) for pattern in MODULES for path in Path().glob(pattern)})
    tests, seconds = measure(paths, FOLDER)
    drawn = draw(paths, options)
    fates = run(drawn, tests, seconds, options.workers)
    report(drawn, fates)
    return 0


def draw(paths: list[str], options: Any) -> list[Mutant]:
    """By seed, spread over the modules in proportion to their mutants."""
    every = [mutant for path in paths for mutant in mutants_of(path, Path(path).read_bytes())]
    if options.module:
        every = [mutant for mutant in every if options.module in mutant.path]
    if options.line:
        return [mutant for mutant in every if mutant.line == options.line]
    return random.Random(options.seed).sample(every, min(options.mutants, len(every)))


def run(drawn: list[Mutant], tests: Any, seconds: dict[str, float], workers: int) -> list[str]:
    fates = ["no test"] * len(drawn)
    touching = [tests.get(mutant.path, {}).get(mutant.line, []) for mutant in drawn]
    for at, names in enumerate(touching):
        names.sort(key=seconds.__getitem__)
        touching[at] = names
    todo = [at for at, names in enumerate(touching) if names]
    columns = (TextColumn("mutants"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=len(todo))
        lock = threading.Lock()

        def serve(number: int) -> None:
            environment = {**os.environ, "PYTEST_XDIST_WORKER": f"gw{number}", "DJANGO_TEST_DB_SUFFIX": f"m{number}"}
            worker = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "tests.mutants.worker"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
            )  # fmt: skip
            assert worker.stdin and worker.stdout
            write(worker, sorted({test for names in touching for test in names}))
            while True:
                with lock:
                    if not todo:
                        break
                    at = todo.pop(0)
                mutant = drawn[at]
                task = {"at": at, "tests": touching[at], "mutant": {f: getattr(mutant, f) for f in mutant.__slots__}}
                write(worker, task)
                fates[at] = json.loads(worker.stdout.readline())["fate"]
                progress.advance(bar)
            worker.stdin.close()
            worker.wait()

        threads = [threading.Thread(target=serve, args=[number]) for number in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return fates


def write(worker: "subprocess.Popen[str]", message: Any) -> None:
    assert worker.stdin
    worker.stdin.write(json.dumps(message) + "\n")
    worker.stdin.flush()


def report(drawn: list[Mutant], fates: list[str]) -> None:
    judged = [(mutant, fate) for mutant, fate in zip(drawn, fates, strict=True) if fate != "unpatched"]
    for mutant, fate in judged:
        if fate not in ("killed", "timeout"):
            console.print(f"\n{fate}: {mutant.diff(Path(mutant.path).read_bytes())}", markup=False, highlight=False)
    table = Table("module", "killed", "of", "%")
    counts: dict[str, Counter[bool]] = {}
    for mutant, fate in judged:
        counts.setdefault(mutant.path, Counter())[fate in ("killed", "timeout")] += 1
    for path, count in [*sorted(counts.items()), ("all", sum(counts.values(), Counter()))]:
        table.add_row(path, str(count[True]), str(count.total()), f"{100 * count[True] / count.total():.0f}")
    console.print(table)
    console.print(f"{len(drawn) - len(judged)} could not be put into place.")


if __name__ == "__main__":
    sys.exit(main())
