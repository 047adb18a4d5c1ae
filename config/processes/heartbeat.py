"""Heartbeats of the processes that serve no HTTP: a file each, which the process touches as its work progresses.

`python config/processes/heartbeat.py worker` is the probe: exit 0 if every worker of this machine (in a container: the
only one) has a fresh heartbeat. No separate thread touches the file, so the heartbeat of a process that hangs gets old.
Run as a file this module imports nothing of ours, so that a probe takes milliseconds.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

FOLDER = Path(os.environ.get("HOADON_ALIVE") or Path(tempfile.gettempdir()) / f"hoadon-alive-{os.getuid()}")
MAX_AGE = 300.0  # seconds: more than a worker's longest step
MIN_INTERVAL = 1.0  # seconds between two touches
IDLE_INTERVAL = 5.0  # seconds between the heartbeats of an idle worker

_touched = float("-inf")


def beat(role: str) -> None:
    """Record a heartbeat of this process. Its role is worker, beat or consumer."""
    global _touched
    if time.monotonic() - _touched < MIN_INTERVAL:
        return
    _touched = time.monotonic()
    FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    (FOLDER / f"{role}-{os.getpid()}").touch()


def ages(role: str) -> dict[int, float]:
    """Seconds since the last heartbeat of each running process of a role, by pid."""
    seconds = {}
    for file in FOLDER.glob(f"{role}-*"):
        pid = int(file.name.rpartition("-")[2])
        if _is_running(pid):
            seconds[pid] = time.time() - file.stat().st_mtime
        else:
            file.unlink(missing_ok=True)
    return seconds


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def main(role: str) -> int:
    seconds = ages(role)
    for pid, age in seconds.items():
        sys.stdout.write(f"{role} {pid}: {age:.0f} s ago\n")
    if not seconds:
        sys.stdout.write(f"no running {role} has a heartbeat in {FOLDER}\n")
    return 0 if seconds and max(seconds.values()) < MAX_AGE else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
