"""Runs operations of several processes statement by statement, in threads that run only while they hold the token.

Each thread has its own connection. Before each statement it returns the token; the dice draw which thread runs next.
`pg_blocking_pids` finds a thread that waits for another's lock, so the order never depends on timing.
"""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from django.db import connection, connections

from tests.simulation.world.dice import Dice

POLL_SECONDS = 0.005  # how long a thread runs before we check whether it waits for a lock
STUCK_SECONDS = 60.0  # after which a statement that neither ends nor waits for a lock raises Stuck


class Crash(BaseException):
    """The process died: its transaction rolls back and its memory is lost."""


class Deadlock(AssertionError):
    """Operations wait for each other: they do not take their locks in one order."""


class Stuck(AssertionError):
    """An operation waits for something that the scheduler cannot see."""


@dataclass(eq=False)
class Operation:
    """Something that one process does. It crashes before its statement number `crash_at` (0: never)."""

    name: str
    work: Callable[[], Any]
    crash_at: int = 0
    worker: Any = None
    partition: int | None = None  # that it takes from
    resend_after_crash: bool = False  # the sender repeats it if it got no response
    result: Any = None
    error: BaseException | None = None
    statements: int = 0
    last_sql: str = ""

    def run(self, before: Callable[[], None] = lambda: None) -> None:
        """Run on this thread's connection and call `before` before each statement."""

        def statement(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
            before()
            self.statements += 1
            self.last_sql = str(sql)
            if self.statements == self.crash_at:
                raise Crash(self.name)
            return execute(sql, params, many, context)

        try:
            with connection.execute_wrapper(statement):
                self.result = self.work()
        except BaseException as error:
            self.error = error

    @property
    def crashed(self) -> bool:
        return isinstance(self.error, Crash)


@dataclass(eq=False)
class Runner:
    """A thread that runs one operation at a time."""

    yielded: "queue.Queue[Runner]"  # runners that returned the token to the scheduler
    token: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    work: "queue.Queue[Operation | None]" = field(default_factory=queue.Queue)
    operation: Operation | None = None
    running: bool = False
    waiting: bool = False  # for another's lock, at the last check
    pid: int = 0

    def loop(self) -> None:
        connection.ensure_connection()
        self.pid = connection.connection.info.backend_pid
        with connection.cursor() as cursor:
            for bound in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
                cursor.execute(f"SET {bound} = 0")  # the scheduler handles waiting threads, not time-outs
        self.yielded.put(self)
        while operation := self.work.get():
            operation.run(self.pause)
            self.operation = None
            self.yielded.put(self)
        connections.close_all()

    def pause(self) -> None:
        self.yielded.put(self)
        self.token.acquire()


class Interleaver:
    """Schedules operations on a fixed set of threads, whose connections are reused from seed to seed."""

    def __init__(self, size: int = 3, stuck: float = STUCK_SECONDS) -> None:
        self.stuck = stuck
        self.yielded: queue.Queue[Runner] = queue.Queue()
        self.runners = [Runner(self.yielded) for _ in range(size)]
        self.threads = [threading.Thread(target=runner.loop, daemon=True) for runner in self.runners]
        for thread, runner in zip(self.threads, self.runners, strict=True):
            runner.running = True
            thread.start()
        self._settle(self.runners)

    def run(self, operations: list[Operation], dice: Dice) -> None:
        """Run all to completion. Raises Deadlock or Stuck."""
        runners = self.runners[: len(operations)]
        for runner, operation in zip(runners, operations, strict=True):
            runner.operation, runner.running = operation, True
            runner.work.put(operation)
            self._settle(runners)  # to its first statement
        while open_runners := [runner for runner in runners if runner.operation]:
            ready = [runner for runner in open_runners if not runner.running]
            if not ready:
                self._fail(open_runners, Deadlock(self._describe_waits(open_runners)))
            runner = dice.one(ready)
            runner.running = True
            runner.token.release()
            self._settle(runners)

    def close(self) -> None:
        for runner in self.runners:
            runner.work.put(None)
        for thread in self.threads:
            thread.join()

    def _settle(self, runners: list[Runner]) -> None:
        """Wait until every thread is at its next statement, done, or waiting for another's lock. Raises Stuck."""
        began = time.monotonic()
        while running := [runner for runner in runners if runner.running]:
            try:
                runner = self.yielded.get(timeout=0.0001 if all(runner.waiting for runner in running) else POLL_SECONDS)
                runner.running = runner.waiting = False
            except queue.Empty:
                if all(runner.operation for runner in running) and self._all_wait(running):
                    return
                if time.monotonic() - began > self.stuck:
                    self._fail(runners, Stuck(self._describe_activity(runners)))

    def _all_wait(self, runners: list[Runner]) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT cardinality(pg_blocking_pids(pid)) > 0 FROM unnest(%s) WITH ORDINALITY AS t(pid, n) ORDER BY n",
                [[runner.pid for runner in runners]],
            )
            for runner, (waits,) in zip(runners, cursor.fetchall(), strict=True):
                runner.waiting = waits
        return all(runner.waiting for runner in runners) and self.yielded.empty()

    def _describe_activity(self, runners: list[Runner]) -> str:
        """What pg_stat_activity shows for each thread."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pid, state, wait_event_type, wait_event, pg_blocking_pids(pid), left(query, 160)"
                " FROM pg_stat_activity WHERE pid = ANY(%s)",
                [[runner.pid for runner in runners]],
            )
            activity = {pid: rest for pid, *rest in cursor.fetchall()}
        return "; ".join(
            f"{r.operation.name if r.operation else 'idle'}: {activity.get(r.pid, 'gone')}" for r in runners
        )

    def _fail(self, runners: list[Runner], error: AssertionError) -> NoReturn:
        """End all operations, so that the next seed can reuse the threads; then raise `error`."""
        open_runners = [runner for runner in runners if runner.operation]
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_cancel_backend(pid) FROM unnest(%s) AS waiting(pid)", [[t.pid for t in runners]])
        for runner in open_runners:
            if not runner.running:
                self._crash(runner)
        ended = 0
        while ended < len(open_runners):
            runner = self.yielded.get()
            if runner.operation:
                self._crash(runner)
            else:
                runner.running = runner.waiting = False
                ended += 1
        raise error

    def _crash(self, runner: Runner) -> None:
        if runner.operation:
            runner.operation.crash_at = runner.operation.statements + 1
            runner.token.release()

    def _describe_waits(self, runners: list[Runner]) -> str:
        return "; ".join(f"{r.operation.name} at: {r.operation.last_sql[:160]}" for r in runners if r.operation)
