"""One worker's turn at a partition: take, call, record, and take again for as long as there is something to do."""

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
LOOK_SECONDS = 0.25  # how often a worker that waits for slow answers looks for new work
TURN_SECONDS = 60  # then the next bell may have the worker, as soon as nothing is open
HOLD_SECONDS = 120  # how long answers are held while PostgreSQL is away
HOLD_STEP = 0.5


def issue_due(partition: int, *, alone: bool = False) -> int:
    """Send and ask what is due in a partition. Returns how many answers were recorded.

    A worker that serves this partition `alone` goes on as long as there is something to do: a call that hangs until
    its time is out never keeps it from taking for others.
    """
    queues.clear_wakeup(partition)
    # No SimpleQueue: CPython's `get` with a timeout can wait for ever if that is over when it is woken for nothing.
    answers: queue.Queue[FinishedCall] = queue.Queue()
    in_flight = recorded = after = 0
    asked: Counter[int] = Counter()  # look-ups on the wire, by lane
    freed: set[int] = set()
    until = time.monotonic() + (math.inf if alone else TURN_SECONDS)
    while True:
        room = settings.BATCH - in_flight
        taken: list[Call] = []
        if room > 0 and not shutdown.is_set() and time.monotonic() < until:
            try:
                # Look-ups have half of the room at most: a provider that answers none must not keep sends waiting.
                if (asks := min(room, (settings.BATCH + 1) // 2 - asked.total())) > 0:
                    taken = take_lookups(partition, asks, asked.keys())
                if room > len(taken):
                    taken += take(partition, room - len(taken), freed=freed, after=after)
            except (OperationalError, InterfaceError):
                if not in_flight:
                    raise
                log.exception("[takeFailed]", partition=partition)  # what is on the wire is still recorded
                connection.close()
            after = _past(after, taken, room)
        for call in taken:
            wire.start(call, answers)
        asked.update(call.account.id for call in taken if not call.is_send)
        in_flight += len(taken)
        if not in_flight:
            return recorded
        finished = _finished(answers)
        _record(finished)
        in_flight -= len(finished)
        recorded += len(finished)
        asked -= Counter(answered.call.account.id for answered in finished if not answered.call.is_send)
        freed = {answered.call.account.id for answered in finished if answered.call.is_send}


def _past(after: int, taken: list[Call], room: int) -> int:
    """A worker that is full goes on behind the lane where it stopped, so that no lane starves another."""
    lanes = [call.account.id for call in taken if call.is_send]
    if len(taken) < room:
        return 0  # all that was due was taken
    if not lanes:
        return after
    return max(lanes) if min(lanes) > after else 0  # it came round


def _record(finished: list[FinishedCall]) -> None:
    """No answer is thrown away: they are held until PostgreSQL is back. Recording twice is as good as once."""
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


def _finished(answers: "queue.Queue[FinishedCall]") -> list[FinishedCall]:
    """What has been answered, waiting a moment for the first."""
    finished: list[FinishedCall] = []
    try:
        finished.append(answers.get(timeout=LOOK_SECONDS))
        while True:
            finished.append(answers.get_nowait())
    except queue.Empty:
        return finished
