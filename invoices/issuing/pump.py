"""One worker's turn at a partition: take, call, record, and take again for as long as there is something to do."""

import queue
import threading
import time

from django.conf import settings

from invoices import partitions
from invoices.issuing.calls import Answered, Call
from invoices.issuing.record import record
from invoices.issuing.take import take, take_asks
from invoices.issuing.wire import wire

stop = threading.Event()  # set at SIGTERM: take no more, finish what is open, record it, leave

LOOK_SECONDS = 0.25  # how often a worker that waits for slow answers looks for new work
TURN_SECONDS = 60  # then the next bell may have the worker, if nothing is open


def issue_due(partition: int) -> int:
    """Send and ask what is due in a partition. Returns how many answers were recorded."""
    partitions.answer(partition)
    answers: queue.SimpleQueue[Answered] = queue.SimpleQueue()
    in_flight = recorded = after = 0
    freed: set[int] = set()
    until = time.monotonic() + TURN_SECONDS
    while True:
        taken: list[Call] = []
        room = settings.BATCH - in_flight
        if room > 0 and not stop.is_set() and time.monotonic() < until:
            taken = take_asks(partition, room)
            if room > len(taken):
                taken += take(partition, room - len(taken), freed=freed, after=after)
            # A worker that is full goes on behind the lane where it stopped, so that no lane starves another.
            after = max((call.account.id for call in taken if call.is_send), default=0) if len(taken) == room else 0
        for call in taken:
            wire().start(call, answers)
        in_flight += len(taken)
        if not in_flight:
            return recorded
        finished = _finished(answers)
        record(finished)
        in_flight -= len(finished)
        recorded += len(finished)
        freed = {answered.call.account.id for answered in finished if answered.call.is_send}


def _finished(answers: "queue.SimpleQueue[Answered]") -> list[Answered]:
    """What has been answered, waiting a moment for the first."""
    finished: list[Answered] = []
    try:
        finished.append(answers.get(timeout=LOOK_SECONDS))
        while True:
            finished.append(answers.get_nowait())
    except queue.Empty:
        return finished
