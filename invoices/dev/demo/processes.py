"""Start parts of the service as separate processes, and stop all of them."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

START_TIMEOUT = 120  # seconds, on a machine that starts a dozen processes at once
STOP_TIMEOUT = 30  # seconds, then a process is killed


class Processes:
    """Processes with a log file each. Leaving the `with` block stops them, the last started first."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        with open(self.logs / f"{name}.log", "ab") as log:
            # A session of its own: Ctrl-C reaches only this process, which stops the others in order.
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=os.environ
            )
        self.running[name] = process
        return process

    def stop(self, name: str, number: int = signal.SIGTERM) -> int:
        """Returns the exit code."""
        process = self.running.pop(name)
        if process.poll() is None:
            os.kill(process.pid, number)
            try:
                process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
        return process.wait()

    def wait_for(self, name: str, url: str) -> None:
        """Wait until a process answers at `url`. Raises RuntimeError with the end of its log if it does not."""
        until = time.monotonic() + START_TIMEOUT
        while not _answers(url):
            if self.running[name].poll() is not None or time.monotonic() > until:
                log = (self.logs / f"{name}.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{name} did not start at {url}; its log ends with:\n{log}")
            time.sleep(0.05)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for name in reversed(list(self.running)):
            self.stop(name)


def free_port(wanted: int) -> int:
    """The wanted port, or any free one if it is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return probe.getsockname()[1]
            except OSError:
                continue
    raise RuntimeError("no free port")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310  (our own address)
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
