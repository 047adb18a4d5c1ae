"""The doorbell: heard when it can be, missed without harm."""

import base64
import json
import time
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.conf import settings

from config.base import clock
from invoices import queues
from invoices.models import Invoice
from invoices.upkeep.sweep import ring_for_due
from tests import cast

QUEUE = "invoice-issuance-1"


@pytest.fixture(autouse=True)
def quiet() -> Any:
    client = redis.Redis.from_url(settings.REDIS_URL)
    client.flushdb()
    queues._silent_until = 0.0
    yield client
    queues._silent_until = 0.0
    client.flushdb()


def test_a_bell_that_is_pending_is_not_rung_again_until_somebody_answers(quiet: Any) -> None:
    for _ in range(5):
        queues.ring(1)
    assert quiet.llen(QUEUE) == 1
    queues.answer(1)
    queues.ring(1)
    assert quiet.llen(QUEUE) == 2


def test_the_sweep_rings_without_looking(quiet: Any) -> None:
    queues.ring(1)
    queues.ring(1, regardless=True)
    assert quiet.llen(QUEUE) == 2


@pytest.mark.django_db
@pytest.mark.parametrize("build", [cast.queued, cast.in_doubt])
def test_the_sweep_rings_where_something_is_due_and_nowhere_else(quiet: Any, build: Any) -> None:
    due, later, issued = build(), build(), cast.issued()
    for partition, invoice in enumerate((later, due, issued)):
        turn = clock.now() + timedelta(minutes=1 if invoice is later else -1)
        Invoice.objects.filter(pk=invoice.pk).update(partition=partition, not_before=turn)
    quiet.flushdb()
    ring_for_due()
    ring_for_due()
    assert [quiet.llen(f"invoice-issuance-{partition}") for partition in range(3)] == [0, 2, 0]


def test_the_message_carries_nothing_but_the_partition(quiet: Any) -> None:
    queues.ring(1)
    message = json.loads(quiet.lindex(QUEUE, 0))
    arguments, keywords, _ = json.loads(base64.b64decode(message["body"]))
    assert (arguments, keywords) == ([1], {})


def test_without_redis_nobody_fails_and_nobody_waits(settings: Any, monkeypatch: Any, caplog: Any) -> None:
    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    monkeypatch.setattr(queues, "_wires", queues._Wires())
    started = time.monotonic()
    queues.ring(1)
    queues.ring(1)  # silent now: not even tried
    assert time.monotonic() - started < 3  # the promise is 0.2 s a call; the library's own patience is longer
    assert [record.levelname for record in caplog.records] == ["WARNING"]
