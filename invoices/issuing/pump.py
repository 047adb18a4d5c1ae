"""One worker's turn at a partition: take, call, record, and take again while anything is due."""

import math
import queue
import time
from collections import Counter

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from structlog.stdlib import get_logger

from config.processes.shutdown import shutdown
from invoices import queues
from invoices.issuing import wire
from invoices.issuing.calls import Call, FinishedCall
from invoices.issuing.lookups import take_lookups
from invoices.issuing.record import record
from invoices.issuing.take import take

log = get_logger(__name__)
POLL_SECONDS = 0.25  # the interval between takes while answers are slow
TURN_SECONDS = 60  # after this time a worker takes no more, so that its process can serve another partition
HOLD_SECONDS = 120  # how long finished calls are held while PostgreSQL is down
HOLD_STEP = 0.5  # seconds between two attempts to record them


def issue_due(partition: int, *, alone: bool = False) -> int:
    """Send and look up the due invoices of a partition. Returns how many answers were recorded.

    A worker that serves only this partition (`alone`) continues while anything is due, so that a call that hangs until
    its time-out does not stop it from taking for other accounts.
    """
    queues.clear_wakeup(partition)
    # Not a SimpleQueue: in CPython its `get` can wait for ever if it wakes up spuriously after its timeout.
    answers: queue.Queue[FinishedCall] = queue.Queue()
    in_flight = recorded = after = 0
    lookups: Counter[int] = Counter()  # in flight, by account
    freed: set[int] = set()
    until = time.monotonic() + (math.inf if alone else TURN_SECONDS)
    while True:
        room = settings.BATCH - in_flight
        taken: list[Call] = []
        if room > 0 and not shutdown.is_set() and time.monotonic() < until:
            try:
                # Look-ups fill half of the room at most: a provider that answers none must not keep sends waiting.
                if (most := min(room, (settings.BATCH + 1) // 2 - lookups.total())) > 0:
                    taken = take_lookups(partition, most, lookups.keys())
                if room > len(taken):
                    taken += take(partition, room - len(taken), freed=freed, after=after)
            except (OperationalError, InterfaceError):
                if not in_flight:
                    raise
                log.exception("[takeFailed]", partition=partition)  # calls in flight are still recorded
                connection.close()
            after = _next_after(after, taken, room)
        for call in taken:
            wire.start(call, answers)
        lookups.update(call.account.id for call in taken if not call.is_send)
        in_flight += len(taken)
        if not in_flight:
            return recorded
        finished = _wait_for_finished(answers)
        _record(finished)
        in_flight -= len(finished)
        recorded += len(finished)
        lookups -= Counter(one.call.account.id for one in finished if not one.call.is_send)
        freed = {one.call.account.id for one in finished if one.call.is_send}


def _next_after(after: int, taken: list[Call], room: int) -> int:
    """The account after which the next take starts: a full worker continues there, so every account gets a turn."""
    accounts = [call.account.id for call in taken if call.is_send]
    if len(taken) < room:
        return 0  # everything due was taken
    if not accounts:
        return after
    return max(accounts) if min(accounts) > after else 0  # every account had its turn


def _record(finished: list[FinishedCall]) -> None:
    """Record, or hold the answers until PostgreSQL is back. Recording twice does the same as recording once."""
    until = time.monotonic() + HOLD_SECONDS
    while True:
        try:
            return record(finished)
        except (OperationalError, InterfaceError):
            if time.monotonic() > until:
                raise
            log.exception("[recordFailed] answers are held", count=len(finished))
            connection.close()
            time.sleep(HOLD_STEP)


def _wait_for_finished(answers: "queue.Queue[FinishedCall]") -> list[FinishedCall]:
    """All finished calls in the queue, after a short wait for the first."""
    finished: list[FinishedCall] = []
    try:
        finished.append(answers.get(timeout=POLL_SECONDS))
        while True:
            finished.append(answers.get_nowait())
    except queue.Empty:
        return finished
