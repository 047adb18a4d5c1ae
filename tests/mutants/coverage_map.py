"""Which tests run each line of the deciding modules, and how long each test takes. Kept, for it takes minutes."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import coverage

# Tests that start processes or a browser are too slow for a mutant; those of the modules themselves come first.
LEFT_OUT = ["tests/chaos", "tests/deploy", "tests/bench", "tests/simulation/test_simulation.py", "tests/invoices/dev"]
TestsByLine = dict[str, dict[int, list[str]]]


def measure(modules: list[str], folder: Path) -> tuple[TestsByLine, dict[str, float]]:
    """Run the suite once under coverage. Returns tests by path and line, and seconds by test."""
    kept = folder / "map.json"
    if not kept.exists():
        _run(modules, folder)
        kept.write_text(json.dumps([_tests_by_line(modules, folder), _seconds(folder)]))
    by_line, seconds = json.loads(kept.read_text())
    return {path: {int(line): tests for line, tests in lines.items()} for path, lines in by_line.items()}, seconds


def _run(modules: list[str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "coveragerc"
    config.write_text(
        f"[run]\ndata_file = {folder}/data\ndynamic_context = test_function\nconcurrency = thread\n"
        f"include =\n    " + "\n    ".join(modules) + "\n"
    )
    ignored = [f"--ignore={path}" for path in LEFT_OUT]
    pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.mutants.timing", "-k", "not browser"]
    command = [sys.executable, "-m", "coverage", "run", f"--rcfile={config}", *pytest, "tests", *ignored]
    environment = {**os.environ, "MUTANTS_TIMES": str(folder / "times.json")}
    subprocess.run(command, check=False, env=environment)  # a failing test is left out below, by its missing time


def _tests_by_line(modules: list[str], folder: Path) -> TestsByLine:
    data = coverage.CoverageData(str(folder / "data"))
    data.read()
    found: TestsByLine = {}
    known = _seconds(folder)
    by_function = defaultdict(list)
    for test in known:
        by_function[_function(test)].append(test)
    for path in data.measured_files():
        lines = data.contexts_by_lineno(path)
        name = os.path.relpath(path)
        found[name] = {
            line: sorted({test for context in contexts for test in by_function.get(context, [])}, key=known.__getitem__)
            for line, contexts in lines.items()
        }
    return found


def _function(test: str) -> str:
    """tests/a/test_b.py::TestC::test_d[x] → tests.a.test_b.TestC.test_d, as coverage names a context."""
    return test.split("[")[0].replace(".py::", ".").replace("::", ".").replace("/", ".")


def _seconds(folder: Path) -> dict[str, float]:
    return json.loads((folder / "times.json").read_text())
