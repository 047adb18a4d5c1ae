"""Acts of several processes, statement by statement: threads that run only while they hold the one token.

Each thread has its own connection. Before each statement it hands the token back; whose turn comes next is drawn by
the dice. A thread that waits for another's lock is found by pg_blocking_pids, so the order never depends on timing.
"""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from django.db import connection, connections

from tests.simulation.dice import Dice

PATIENCE = 0.005  # seconds until we look whether a thread waits for a lock
STUCK = 60.0  # seconds after which a statement that neither ends nor waits for a lock is told, with what it waits for


class Crash(BaseException):
    """The process is gone: its transaction rolls back, its memory is lost."""


class Deadlock(AssertionError):
    """Acts that wait for each other: the locks are not taken in one order."""


class Stuck(AssertionError):
    """An act that waits for something the scheduler cannot see."""


@dataclass(eq=False)
class Operation:
    """Something that one process does. `crash_at`: it dies before its statement of that number."""

    name: str
    work: Callable[[], Any]
    crash_at: int = 0
    worker: Any = None
    told_again: bool = False  # who sent this sends it again when it was not answered
    result: Any = None
    error: BaseException | None = None
    statements: int = 0
    last: str = ""

    def run(self, before: Callable[[], None] = lambda: None) -> None:
        """Do it on this thread's connection; `before` is called before each statement."""

        def statement(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
            before()
            self.statements += 1
            self.last = str(sql)
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
    """A thread that runs one act at a time."""

    back: "queue.Queue[Runner]"  # the token, on its way back to the scheduler
    token: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    work: "queue.Queue[Operation | None]" = field(default_factory=queue.Queue)
    act: Operation | None = None
    moving: bool = False
    waits: bool = False  # for another's lock, when we last looked
    pid: int = 0

    def loop(self) -> None:
        connection.ensure_connection()
        self.pid = connection.connection.info.backend_pid
        with connection.cursor() as cursor:
            for bound in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
                cursor.execute(f"SET {bound} = 0")  # real time has no say here: the scheduler sees who waits
        self.back.put(self)
        while act := self.work.get():
            act.run(self.pause)
            self.act = None
            self.back.put(self)
        connections.close_all()

    def pause(self) -> None:
        self.back.put(self)
        self.token.acquire()


class Interleaver:
    """Threads and their connections are kept from seed to seed."""

    def __init__(self, size: int = 3, stuck: float = STUCK) -> None:
        self.stuck = stuck
        self.back: queue.Queue[Runner] = queue.Queue()
        self.turns = [Runner(self.back) for _ in range(size)]
        self.threads = [threading.Thread(target=turn.loop, daemon=True) for turn in self.turns]
        for thread, turn in zip(self.threads, self.turns, strict=True):
            turn.moving = True
            thread.start()
        self._settle(self.turns)

    def run(self, acts: list[Operation], dice: Dice) -> None:
        """Run all to their ends. Raises Deadlock or Stuck."""
        turns = self.turns[: len(acts)]
        for turn, act in zip(turns, acts, strict=True):
            turn.act, turn.moving = act, True
            turn.work.put(act)
            self._settle(turns)  # to its first statement
        while open_turns := [turn for turn in turns if turn.act]:
            ready = [turn for turn in open_turns if not turn.moving]
            if not ready:
                self._break(open_turns, Deadlock(self._waiting(open_turns)))
            turn = dice.one(ready)
            turn.moving = True
            turn.token.release()
            self._settle(turns)

    def close(self) -> None:
        for turn in self.turns:
            turn.work.put(None)
        for thread in self.threads:
            thread.join()

    def _settle(self, turns: list[Runner]) -> None:
        """Until every thread is at its next statement, done, or surely waiting for another's lock. Raises Stuck."""
        began = time.monotonic()
        while moving := [turn for turn in turns if turn.moving]:
            try:
                back = self.back.get(timeout=0.0001 if all(turn.waits for turn in moving) else PATIENCE)
                back.moving = back.waits = False
            except queue.Empty:
                if all(turn.act for turn in moving) and self._all_wait(moving):
                    return
                if time.monotonic() - began > self.stuck:
                    self._break(turns, Stuck(self._activity(turns)))

    def _all_wait(self, turns: list[Runner]) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT cardinality(pg_blocking_pids(pid)) > 0 FROM unnest(%s) WITH ORDINALITY AS t(pid, n) ORDER BY n",
                [[turn.pid for turn in turns]],
            )
            for turn, (waits,) in zip(turns, cursor.fetchall(), strict=True):
                turn.waits = waits
        return all(turn.waits for turn in turns) and self.back.empty()

    def _activity(self, turns: list[Runner]) -> str:
        """What PostgreSQL says of each thread."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pid, state, wait_event_type, wait_event, pg_blocking_pids(pid), left(query, 160)"
                " FROM pg_stat_activity WHERE pid = ANY(%s)",
                [[turn.pid for turn in turns]],
            )
            told = {pid: rest for pid, *rest in cursor.fetchall()}
        return "; ".join(f"{turn.act.name if turn.act else 'idle'}: {told.get(turn.pid, 'gone')}" for turn in turns)

    def _break(self, turns: list[Runner], error: AssertionError) -> NoReturn:
        """Let all come to their ends, so that the next seed finds the threads as new."""
        open_turns = [turn for turn in turns if turn.act]
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_cancel_backend(pid) FROM unnest(%s) AS waiting(pid)", [[t.pid for t in turns]])
        for turn in open_turns:
            if not turn.moving:
                self._crash(turn)
        ended = 0
        while ended < len(open_turns):
            turn = self.back.get()
            if turn.act:
                self._crash(turn)
            else:
                turn.moving = turn.waits = False
                ended += 1
        raise error

    def _crash(self, turn: Runner) -> None:
        if turn.act:
            turn.act.crash_at = turn.act.statements + 1
            turn.token.release()

    def _waiting(self, turns: list[Runner]) -> str:
        return "; ".join(f"{turn.act.name} at: {turn.act.last[:160]}" for turn in turns if turn.act)
