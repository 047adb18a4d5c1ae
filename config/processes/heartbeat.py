"""Signs of life of the processes that serve no HTTP: a file each, touched whenever its process gets on with its work.

`python config/processes/heartbeat.py worker` is the probe: exit 0 while every worker of this machine (in a container:
the one) has moved in the last minutes. No thread of its own touches it: a process that hangs must fall silent. Run as a
file this imports nothing of ours, so that a probe costs milliseconds.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

FOLDER = Path(os.environ.get("HOADON_ALIVE") or Path(tempfile.gettempdir()) / f"hoadon-alive-{os.getuid()}")
SILENT = 300.0  # seconds: a worker's longest step and more
OFTEN = 1.0  # seconds between two touches
IDLE = 5.0  # seconds between the signs of a worker that has nothing to do

_touched = float("-inf")


def beat(part: str) -> None:
    """This process, a worker, beat or consumer, gets on."""
    global _touched
    if time.monotonic() - _touched < OFTEN:
        return
    _touched = time.monotonic()
    FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    (FOLDER / f"{part}-{os.getpid()}").touch()


def ages(part: str) -> dict[int, float]:
    """Seconds since the last sign of each living process of a part, by its pid."""
    found = {}
    for file in FOLDER.glob(f"{part}-*"):
        pid = int(file.name.rpartition("-")[2])
        if _runs(pid):
            found[pid] = time.time() - file.stat().st_mtime
        else:
            file.unlink(missing_ok=True)
    return found


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def main(part: str) -> int:
    found = ages(part)
    for pid, age in found.items():
        sys.stdout.write(f"{part} {pid}: {age:.0f} s ago\n")
    if not found:
        sys.stdout.write(f"no {part} has given a sign of life in {FOLDER}\n")
    return 0 if found and max(found.values()) < SILENT else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
