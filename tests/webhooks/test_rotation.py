"""A secret is rotated under continuous deliveries, and the receiver, with the unmodified library, rejects none."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections

from config.base import clock
from invoices.audit import Event
from invoices.lifecycle import State
from tests import cast
from tests.api.client import ApiClient
from tests.webhooks.receivers import OK, Receiver, receiving
from webhooks.models import WebhookDelivery
from webhooks.outbound.deliveries import deliver_due

pytestmark = pytest.mark.django_db(transaction=True)
OPEN = 30  # events written and not yet received, at most


class Traffic:
    """One thread that writes events without pause and one that delivers them."""

    def __init__(self, receiver: Receiver, merchant: Any) -> None:
        self.receiver, self.ended, self.room = receiver, threading.Event(), threading.Semaphore(OPEN)
        self.failures: list[BaseException] = []
        self.invoices = [cast.failed(merchant) for _ in range(10)]
        self.written = len(self.invoices)
        self.threads = [threading.Thread(target=self._run, args=(loop,)) for loop in (self.write, self.deliver)]
        receiver.answer = lambda _: (self.room.release(), OK)[1]

    def write(self) -> None:
        while not self.ended.is_set():
            if self.room.acquire(timeout=0.1):
                invoice = self.invoices.pop(0)
                failure = "late" if invoice.failure == "refused" else "refused"
                self.invoices.append(cast.move_to(invoice, State.FAILED, Event.FAILED, actor="test", failure=failure))
                self.written += 1

    def deliver(self) -> None:
        while not self.ended.is_set() or len(self.receiver.received) < self.written:
            deliver_due()

    def wait(self, done: Callable[[], bool]) -> None:
        self.receiver.wait(lambda: bool(self.failures) or done())
        assert not self.failures, self.failures

    def wait_for_more(self, count: int = 25) -> None:
        wanted = len(self.receiver.received) + count
        self.wait(lambda: len(self.receiver.received) >= wanted)

    def end(self) -> None:
        """Stop writing, and wait until everything written was received."""
        self.ended.set()
        for thread in self.threads:
            thread.join(60)
        assert not self.failures, self.failures

    def _run(self, loop: Callable[[], None]) -> None:
        try:
            loop()
        except BaseException as error:
            self.failures.append(error)
        finally:
            connections.close_all()


@contextmanager
def running_traffic(receiver: Receiver, merchant: Any) -> Iterator[Traffic]:
    traffic = Traffic(receiver, merchant)
    for thread in traffic.threads:
        thread.start()
    try:
        yield traffic
    finally:
        traffic.end()


def test_no_delivery_is_rejected_before_during_or_after_a_rotation() -> None:
    merchant = cast.seller()
    with receiving() as receiver:
        row = receiver.endpoint(merchant)
        caller, path = ApiClient(merchants=[merchant.code]), f"webhook-endpoints/{row.pk}/rotate-secret"
        with running_traffic(receiver, merchant) as traffic:
            traffic.wait_for_more()  # before: one secret
            new_secret = caller.call("post", path, {"label": "2", "graceHours": 1}).json()["secret"]
            rotated = clock.now()
            traffic.wait_for_more()  # the receiver knows the old one only
            traffic.wait(lambda: not WebhookDelivery.objects.filter(taken_at__lt=rotated).exists())
            receiver.secrets = [new_secret]
            traffic.wait_for_more()  # and now the new one only
            with clock.frozen(rotated + timedelta(hours=1)):
                before_end = len(receiver.signatures)
                traffic.wait_for_more(25 + OPEN)  # after: the old one has expired
                traffic.end()
    assert receiver.rejected == 0
    assert receiver.signatures[:25] == [1] * 25 and set(receiver.signatures[-25:]) == {1}
    assert 2 in receiver.signatures[25:before_end]
    for invoice in traffic.invoices:
        seqs = [int(event.split("-")[1]) for event in receiver.ids if event.startswith(f"{invoice.pk}-")]
        assert len(seqs) > 5 and seqs == sorted(seqs)
