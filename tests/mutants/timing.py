"""A pytest plugin: how long each test that passed took, with its setup."""

import json
import os
from collections import defaultdict

import pytest

seconds: dict[str, float] = defaultdict(float)
failed: set[str] = set()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    seconds[report.nodeid] += report.duration
    if not report.passed:
        failed.add(report.nodeid)


def pytest_sessionfinish() -> None:
    passed = {test: time for test, time in seconds.items() if test not in failed}
    with open(os.environ["MUTANTS_TIMES"], "w") as file:
        json.dump(passed, file)
