"""The flag that SIGTERM sets. Long loops check it between two steps and finish what is in flight."""

import threading

from config.processes.heartbeat import beat


class ShutdownFlag(threading.Event):
    """Checking the flag also records a heartbeat, so the heartbeat of a loop that hangs gets old."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self.role = role

    def is_set(self) -> bool:
        beat(self.role)
        return super().is_set()


shutdown = ShutdownFlag("worker")  # of this process's Celery worker
