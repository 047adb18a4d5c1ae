"""Redis away, Redis hanging, PostgreSQL away: real servers of this module's own, the real API, a real worker."""

import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis
from django.db import connections

from config.processes.run_modes import api, beat, worker
from invoices import queues
from invoices.models import Invoice, InvoiceRequest, Payment
from invoices.queues import issuance_queue
from tests import cast
from tests.chaos import servers
from tests.chaos.cluster import Cluster, all_issued, running_cluster, until
from webhooks.models import WebhookEvent

PROMISE = 0.2  # seconds that a payment is delayed at most by a Redis that is away
# A take whose commit got through while its connection died leaves SENDING rows that nobody sends: they are asked about
# when the longest call is over, and sent after that. Here within a minute instead of three.
SOON = {
    "PROVIDER_TIMEOUT": "20",
    "PROVIDER_SETTLE": "1",
    "ISSUANCE_LOOKUP_STEPS": "1,2,4",
    "ISSUANCE_RETRY_STEPS": "1,2,4",
}
NOISE = 0.4  # what a busy machine may add to any request


@pytest.fixture(scope="module")
def home(tmp_path_factory: Any, django_db_blocker: Any) -> Iterator[Cluster]:
    root = tmp_path_factory.mktemp("outages")
    with running_cluster(root, django_db_blocker, SWEEP_SECONDS="1", **SOON) as home:
        home.processes.start("api", *api(home.ports[0]))
        home.processes.start("worker", *worker("outages", "hoadon", *(issuance_queue(p) for p in range(3))))
        home.processes.start("beat", *beat())
        home.processes.wait_for("api", f"{home.url()}/admin/login/")
        yield home


def timed(home: Cluster, count: int) -> list[float]:
    """Seconds of so many payments, one after the other; each is accepted."""
    seconds = []
    for _ in range(count):
        started = time.perf_counter()
        answer = home.pay()
        seconds.append(time.perf_counter() - started)
        assert (answer.status, answer.json()["state"]) == (202, "QUEUED"), answer.body
    return seconds


def assert_hardly_later(seconds: list[float], usual: float) -> None:
    """One of ten may have met a busy machine; five of them did not."""
    assert statistics.median(seconds) < usual + PROMISE + NOISE
    assert max(seconds) < usual + 10 * PROMISE


def rows() -> tuple[int, int, int, int]:
    return (
        WebhookEvent.objects.count(),
        Payment.objects.count(),
        InvoiceRequest.objects.filter(invoice__isnull=False).count(),
        Invoice.objects.count(),
    )


def test_without_redis_payments_are_stored_hardly_later_and_issued_when_it_returns(home: Cluster) -> None:
    usual = statistics.median(timed(home, 10))
    servers.stop_valkey(home.redis_url)
    assert_hardly_later(timed(home, 10), usual)
    servers.start_valkey(home.root)
    until(all_issued)
    assert len(home.provider.ledger()) == Invoice.objects.count()


def test_a_redis_that_hangs_delays_a_payment_no_longer_than_one_that_is_away(home: Cluster) -> None:
    usual = statistics.median(timed(home, 10))
    pid = redis.Redis.from_url(home.redis_url).info("server")["process_id"]
    with servers.frozen(pid):
        slow = timed(home, 10)
    assert_hardly_later(slow, usual)
    until(all_issued)


def test_without_postgresql_payments_are_503_and_nothing_is_half_done(home: Cluster) -> None:
    payments = [(f"outage-{at}", cast.payment(home.seller)) for at in range(40)]
    with ThreadPoolExecutor(8) as senders:
        answers = [senders.submit(home.pay, data, key) for key, data in payments[:30]]
        servers.stop_postgres(home.root)  # in the middle of them
        answers += [senders.submit(home.pay, data, key) for key, data in payments[30:]]
        told = [answer.result() for answer in answers]
    servers.start_postgres(home.root)
    connections["default"].close()
    assert {answer.status for answer in told} <= {202, 503}, told
    for answer in told[30:]:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert (answer.headers["Content-Type"], answer.json()["code"]) == ("application/problem+json", "database")
    assert len(set(rows())) == 1, rows()
    promised = [answer.json()["invoiceId"] for answer in told if answer.status == 202]
    assert Invoice.objects.filter(pk__in=promised).count() == len(promised)
    again = [home.pay(data, key) for key, data in payments]
    assert {answer.status for answer in again} <= {200, 202}
    assert Payment.objects.filter(order_id__in=[data["orderId"] for _, data in payments]).count() == 40
    assert len(set(rows())) == 1, rows()
    until(all_issued)


def test_answers_that_come_while_postgresql_is_away_are_held_and_recorded(home: Cluster) -> None:
    home.provider.settings(latency=1500)
    try:
        asked = home.provider.stats().get("create", 0)
        invoice_id = home.pay().json()["invoiceId"]
        until(lambda: home.provider.stats().get("create", 0) > asked)
        servers.stop_postgres(home.root)
        issued = len(home.provider.ledger())
        until(lambda: len(home.provider.ledger()) > issued)
    finally:
        servers.start_postgres(home.root)
        connections["default"].close()
        home.provider.settings(latency=0)
    until(all_issued)
    invoice = Invoice.objects.get(pk=invoice_id)
    assert list(invoice.tracings.order_by("seq").values_list("event_type", flat=True)) == ["opened", "taken", "issued"]
    assert invoice.issuances.count() == 1


def test_the_first_bell_of_a_thread_waits_no_longer_than_the_next(
    settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings.REDIS_URL, settings.CELERY_BROKER_URL = f"unix://{tmp_path}/none", f"redis+socket://{tmp_path}/none"
    monkeypatch.setattr(queues, "_connections", queues._Connections())
    monkeypatch.setattr(queues, "_paused_until", 0.0)
    started = time.perf_counter()
    queues.wake(0, force=True)
    assert time.perf_counter() - started < 10 * PROMISE  # the library's own patience is six seconds
