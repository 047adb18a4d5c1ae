"""What goes wrong and when: drawn from a seed before the round begins, done by a thread while orders flow in."""

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
OUTAGE = 20.0  # seconds that the provider is away: half of it hanging, half of it refusing connections
BETWEEN_KILLS = 3.0, 6.0
DOWN_FOR = 0.5, 2.0


class FaultInjector(threading.Thread):
    """`said` hears of every deed. After `join`, everything runs again and `error` tells what broke the thread."""

    def __init__(self, crew: Processes, local: Path, redis_url: str, seed: int, said: Callable[[str], None]) -> None:
        super().__init__(name="mischief", daemon=True)
        self.processes, self.local, self.redis_url, self.said = crew, local, redis_url, said
        self.dice = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.enough = threading.Event()  # everything has been sent: no more kills
        self.died: list[str] = []  # not by our hand
        self.error: Exception | None = None
        self._plan: list[tuple[float, int, Callable[[], None]]] = []
        self._order, self._began = itertools.count(), 0.0

    def plan(self, seconds: float) -> None:
        """Spread over so many seconds; kills go on until `enough` is set."""
        self._at(1.0, self._unless_enough(self._kill))
        for share, deed in (
            (0.2, self._flush),
            (0.35, self._restart_postgres),
            (0.45, self._freeze_provider),
            (0.9, self._flush),
        ):
            self._at(seconds * share, self._unless_enough(deed))
        if seconds * 0.45 + OUTAGE < seconds * 0.85:
            self._at(seconds * 0.85, self._unless_enough(self._restart_postgres))

    def stop(self) -> None:
        """No more mischief; whoever is down comes back, so that nobody is started behind the crew's back later."""
        self.enough.set()
        self.join()

    def run(self) -> None:
        self._began = time.monotonic()
        try:
            while self._plan:
                at, _, deed = heapq.heappop(self._plan)
                time.sleep(max(0.0, self._began + at - time.monotonic()))
                deed()
        except (OSError, subprocess.SubprocessError, redis.RedisError, KeyError) as error:
            self.error = error

    def _at(self, seconds: float, deed: Callable[[], None]) -> None:
        heapq.heappush(self._plan, (seconds, next(self._order), deed))

    def _soon(self, seconds: float, deed: Callable[[], None]) -> None:
        self._at(time.monotonic() - self._began + seconds, deed)

    def _unless_enough(self, deed: Callable[[], None]) -> Callable[[], None]:
        return lambda: None if self.enough.is_set() else deed()

    def _note(self, deed: str, whom: str = "") -> None:
        self.done[deed] += 1
        self.said(f"{time.monotonic() - self._began:5.1f} s  {deed} {whom}")

    def _kill(self) -> None:
        self._soon(self.dice.uniform(*BETWEEN_KILLS), self._unless_enough(self._kill))
        alive = sorted(name for name in self.processes.running if name.startswith(("worker", "beat")))
        if not alive:
            return
        name = self.dice.choice(alive)
        command, dead = self.processes.running[name].args, self.processes.running[name].poll() is not None
        self.died += [name] * dead
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
        self._soon(OUTAGE / 2, self._shut_provider)

    def _shut_provider(self) -> None:
        os.kill(self._provider.pid, signal.SIGUSR1)  # before it goes on: it wakes up behind a closed door
        os.kill(self._provider.pid, signal.SIGCONT)
        self._soon(OUTAGE / 2, lambda: os.kill(self._provider.pid, signal.SIGUSR2))

    def count_the_dead(self) -> list[str]:
        return self.died + [name for name, process in self.processes.running.items() if process.poll() is not None]

    @property
    def _provider(self) -> "subprocess.Popen[bytes]":
        return self.processes.running[PROVIDER]
