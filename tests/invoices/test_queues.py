"""Wake-ups of workers, with Redis and without."""

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
from invoices.upkeep.sweep import wake_due_partitions
from tests import cast

QUEUE = "invoice-issuance-1"


@pytest.fixture(autouse=True)
def valkey() -> Any:
    client = redis.Redis.from_url(settings.REDIS_URL)
    client.flushdb()
    queues._paused_until = 0.0
    yield client
    queues._paused_until = 0.0
    client.flushdb()


def test_a_pending_wakeup_is_not_sent_again_until_it_is_cleared(valkey: Any) -> None:
    for _ in range(5):
        queues.wake(1)
    assert valkey.llen(QUEUE) == 1
    queues.clear_wakeup(1)
    queues.wake(1)
    assert valkey.llen(QUEUE) == 2


def test_the_sweep_sends_a_wakeup_although_one_is_pending(valkey: Any) -> None:
    queues.wake(1)
    queues.wake(1, force=True)
    assert valkey.llen(QUEUE) == 2


@pytest.mark.django_db
@pytest.mark.parametrize("build", [cast.queued, cast.uncertain])
def test_the_sweep_wakes_only_partitions_in_which_something_is_due(valkey: Any, build: Any) -> None:
    due, later, issued = build(), build(), cast.issued()
    for partition, invoice in enumerate((later, due, issued)):
        not_before = clock.now() + timedelta(minutes=1 if invoice is later else -1)
        Invoice.objects.filter(pk=invoice.pk).update(partition=partition, not_before=not_before)
    valkey.flushdb()
    wake_due_partitions()
    wake_due_partitions()
    assert [valkey.llen(f"invoice-issuance-{partition}") for partition in range(3)] == [0, 2, 0]


def test_the_message_carries_nothing_but_the_partition(valkey: Any) -> None:
    queues.wake(1)
    message = json.loads(valkey.lindex(QUEUE, 0))
    arguments, keywords, _ = json.loads(base64.b64decode(message["body"]))
    assert (arguments, keywords) == ([1], {})


def test_without_redis_a_wakeup_neither_fails_nor_waits(settings: Any, monkeypatch: Any, caplog: Any) -> None:
    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    monkeypatch.setattr(queues, "_connections", queues._Connections())
    started = time.monotonic()
    queues.wake(1)
    queues.wake(1)  # paused: not even tried
    assert time.monotonic() - started < 3  # we promise 0.2 s a call; the library's default is longer
    assert [record.levelname for record in caplog.records] == ["WARNING"]
