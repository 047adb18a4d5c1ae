"""The flag that SIGTERM sets. Every long loop checks it between two steps and finishes what is in flight."""

import threading

from config.processes.heartbeat import beat


class ShutdownFlag(threading.Event):
    """Checking the flag is also the process's heartbeat: a loop that hangs falls silent."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self.role = role

    def is_set(self) -> bool:
        beat(self.role)
        return super().is_set()


shutdown = ShutdownFlag("worker")  # of this process's Celery worker
