"""One worker: reads mutants as JSON lines, forks a process for each, and prints what became of it."""

import json
import os
import signal
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest

from tests.mutants.operators import Mutant
from tests.mutants.patching import patch

GIVE_UP = 90  # seconds; a mutant that loops for ever is noticed
QUIET = ["-q", "-x", "-p", "no:cacheprovider", "--reuse-db", "--no-header", "--capture=sys"]


def main() -> None:
    """The tests are imported once, before the first fork: no connection is open then."""
    wanted = sorted({test.split("::")[0] for test in json.loads(sys.stdin.readline())})
    devnull = open(os.devnull, "w")  # noqa: SIM115
    real, sys.stdout = sys.stdout, devnull
    pytest.main([*QUIET, "--collect-only", *wanted])
    sys.stdout = real
    for line in sys.stdin:
        task = json.loads(line)
        sys.stdout.write(json.dumps({"at": task["at"], "fate": fate(Mutant(**task["mutant"]), task["tests"])}) + "\n")
        sys.stdout.flush()


def fate(mutant: Mutant, tests: list[str]) -> str:
    """ "killed", "survived", "timeout" or "unpatched"."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os._exit(_run(mutant, tests))
    until = time.monotonic() + GIVE_UP
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return {0: "survived", 77: "unpatched"}.get(code, "killed")
        time.sleep(0.02)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "timeout"


def _run(mutant: Mutant, tests: list[str]) -> int:
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    path = Path(mutant.path)
    module = import_module(".".join(path.with_suffix("").parts))
    try:
        patched = patch(module, mutant.apply(path.read_bytes()), mutant.line)
    except SyntaxError:
        return 77
    if not patched:
        return 77
    return int(pytest.main([*QUIET, *tests]))


if __name__ == "__main__":
    main()
