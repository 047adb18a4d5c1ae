"""Stop and start the embedded servers, as a crash and a restart would."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.processes import embedded


def restart_postgres(root: Path) -> None:
    """Without a checkpoint; all connections break."""
    _pg_ctl(root, "-m", "immediate", "restart")


def stop_postgres(root: Path, mode: str = "immediate") -> None:
    _pg_ctl(root, "-m", mode, "stop")


def start_postgres(root: Path) -> str:
    """Returns its DATABASE_URL."""
    return embedded._start_postgres(root)


def start_valkey(root: Path) -> str:
    """Returns its REDIS_URL."""
    root.mkdir(parents=True, exist_ok=True)
    return embedded._start_valkey(root)


def stop_valkey(url: str) -> None:
    redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0)).shutdown(nosave=True)  # else it reconnects for four seconds


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """The process hangs: its sockets accept connections and never respond."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _pg_ctl(root: Path, *how: str) -> None:
    server = embedded._postgres(root)
    command = [server.bin_path / "pg_ctl", "-D", server.pgdata, "-w", "-l", server.log, *how]
    quiet = {name: subprocess.DEVNULL for name in ("stdin", "stdout", "stderr")}
    subprocess.run(command, check=True, user=server.system_user, **quiet)  # PostgreSQL does not run as root
