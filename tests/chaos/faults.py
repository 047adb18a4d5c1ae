"""The faults of a round, planned from its seed and injected by a thread while orders flow in."""

import heapq
import itertools
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import redis

from invoices.dev.demo.processes import Processes
from tests.chaos.servers import restart_postgres

PROVIDER = "provider"
OUTAGE = 20.0  # seconds of the provider's outage: half of it hanging, half of it refusing connections
BETWEEN_KILLS = 3.0, 6.0
DOWN_FOR = 0.5, 2.0


class FaultInjector(threading.Thread):
    """Calls `report` for every fault. After `join` everything runs again; `error` is what ended the thread early."""

    def __init__(
        self, processes: Processes, local: Path, redis_url: str, seed: int, report: Callable[[str], None]
    ) -> None:
        super().__init__(name="faults", daemon=True)
        self.processes, self.local, self.redis_url, self.report = processes, local, redis_url, report
        self.dice = random.Random(seed)
        self.injected: Counter[str] = Counter()
        self.finished = threading.Event()  # all orders were sent: no more faults
        self.died: list[str] = []  # processes that ended without being killed
        self.error: Exception | None = None
        self._plan: list[tuple[float, int, Callable[[], None]]] = []
        self._order, self._began = itertools.count(), 0.0

    def plan(self, seconds: float) -> None:
        """Spread the faults over so many seconds; kills go on until `finished` is set."""
        self._at(1.0, self._unless_finished(self._kill))
        for share, fault in (
            (0.2, self._flush),
            (0.35, self._restart_postgres),
            (0.45, self._freeze_provider),
            (0.9, self._flush),
        ):
            self._at(seconds * share, self._unless_finished(fault))
        if seconds * 0.45 + OUTAGE < seconds * 0.85:
            self._at(seconds * 0.85, self._unless_finished(self._restart_postgres))

    def stop(self) -> None:
        """Inject no more, and wait until every killed process has been started again."""
        self.finished.set()
        self.join()

    def run(self) -> None:
        self._began = time.monotonic()
        try:
            while self._plan:
                at, _, fault = heapq.heappop(self._plan)
                time.sleep(max(0.0, self._began + at - time.monotonic()))
                fault()
        except (OSError, subprocess.SubprocessError, redis.RedisError, KeyError) as error:
            self.error = error

    def _at(self, seconds: float, fault: Callable[[], None]) -> None:
        heapq.heappush(self._plan, (seconds, next(self._order), fault))

    def _soon(self, seconds: float, fault: Callable[[], None]) -> None:
        self._at(time.monotonic() - self._began + seconds, fault)

    def _unless_finished(self, fault: Callable[[], None]) -> Callable[[], None]:
        return lambda: None if self.finished.is_set() else fault()

    def _note(self, fault: str, target: str = "") -> None:
        self.injected[fault] += 1
        self.report(f"{time.monotonic() - self._began:5.1f} s  {fault} {target}")

    def _kill(self) -> None:
        self._soon(self.dice.uniform(*BETWEEN_KILLS), self._unless_finished(self._kill))
        running = sorted(name for name in self.processes.running if name.startswith(("worker", "beat")))
        if not running:
            return
        name = self.dice.choice(running)
        command, had_died = self.processes.running[name].args, self.processes.running[name].poll() is not None
        self.died += [name] * had_died
        self.processes.stop(name, signal.SIGKILL)
        self._note("kill", name)
        self._soon(self.dice.uniform(*DOWN_FOR), lambda: self.processes.start(name, *command))

    def _flush(self) -> None:
        redis.Redis.from_url(self.redis_url).flushall()
        self._note("flush")

    def _restart_postgres(self) -> None:
        restart_postgres(self.local)
        self._note("postgres")

    def _freeze_provider(self) -> None:
        os.kill(self._provider.pid, signal.SIGSTOP)
        self._note("outage")
        self._soon(OUTAGE / 2, self._refuse_connections)

    def _refuse_connections(self) -> None:
        os.kill(self._provider.pid, signal.SIGUSR1)  # before SIGCONT, so that it resumes with its port closed
        os.kill(self._provider.pid, signal.SIGCONT)
        self._soon(OUTAGE / 2, lambda: os.kill(self._provider.pid, signal.SIGUSR2))

    def unexpected_exits(self) -> list[str]:
        return self.died + [name for name, process in self.processes.running.items() if process.poll() is not None]

    @property
    def _provider(self) -> "subprocess.Popen[bytes]":
        return self.processes.running[PROVIDER]
