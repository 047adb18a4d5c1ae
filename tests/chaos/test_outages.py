"""Redis down, Redis hanging, PostgreSQL down: this module's own servers, the real API, a real worker."""

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
from tests.chaos.cluster import Cluster, all_issued, running_cluster, wait_until
from webhooks.models import WebhookEvent

MAX_DELAY = 0.2  # seconds that a Redis outage may delay a payment
# If the connection breaks during the commit of a take, the commit may succeed and leave SENDING rows that no worker
# sends. They are looked up after the longest possible call, and then sent: here within one minute instead of three.
SHORT_TIMES = {
    "PROVIDER_TIMEOUT": "20",
    "PROVIDER_SETTLE": "1",
    "ISSUANCE_LOOKUP_STEPS": "1,2,4",
    "ISSUANCE_RETRY_STEPS": "1,2,4",
}
NOISE = 0.4  # seconds that a busy machine may add to any request


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: Any, django_db_blocker: Any) -> Iterator[Cluster]:
    root = tmp_path_factory.mktemp("outages")
    with running_cluster(root, django_db_blocker, SWEEP_SECONDS="1", **SHORT_TIMES) as cluster:
        cluster.processes.start("api", *api(cluster.ports[0]))
        cluster.processes.start("worker", *worker("outages", "hoadon", *(issuance_queue(p) for p in range(3))))
        cluster.processes.start("beat", *beat())
        cluster.processes.wait_for("api", f"{cluster.url()}/admin/login/")
        yield cluster


def time_payments(cluster: Cluster, count: int) -> list[float]:
    """Seconds of `count` payments, one after the other. Each must be accepted."""
    seconds = []
    for _ in range(count):
        started = time.perf_counter()
        response = cluster.pay()
        seconds.append(time.perf_counter() - started)
        assert (response.status, response.json()["state"]) == (202, "QUEUED"), response.body
    return seconds


def assert_barely_slower(seconds: list[float], normal: float) -> None:
    """The median within MAX_DELAY; a single payment may be slow because the machine is busy."""
    assert statistics.median(seconds) < normal + MAX_DELAY + NOISE
    assert max(seconds) < normal + 10 * MAX_DELAY


def row_counts() -> tuple[int, int, int, int]:
    return (
        WebhookEvent.objects.count(),
        Payment.objects.count(),
        InvoiceRequest.objects.filter(invoice__isnull=False).count(),
        Invoice.objects.count(),
    )


def test_without_redis_payments_are_barely_slower_and_issued_when_it_returns(cluster: Cluster) -> None:
    normal = statistics.median(time_payments(cluster, 10))
    servers.stop_valkey(cluster.redis_url)
    assert_barely_slower(time_payments(cluster, 10), normal)
    servers.start_valkey(cluster.root)
    wait_until(all_issued)
    assert len(cluster.provider.ledger()) == Invoice.objects.count()


def test_a_redis_that_hangs_delays_a_payment_no_longer_than_one_that_is_down(cluster: Cluster) -> None:
    normal = statistics.median(time_payments(cluster, 10))
    pid = redis.Redis.from_url(cluster.redis_url).info("server")["process_id"]
    with servers.frozen(pid):
        seconds = time_payments(cluster, 10)
    assert_barely_slower(seconds, normal)
    wait_until(all_issued)


def test_without_postgresql_payments_get_503_and_no_rows_are_incomplete(cluster: Cluster) -> None:
    payments = [(f"outage-{at}", cast.payment(cluster.seller)) for at in range(40)]
    with ThreadPoolExecutor(8) as senders:
        futures = [senders.submit(cluster.pay, data, key) for key, data in payments[:30]]
        servers.stop_postgres(cluster.root)  # while they are sent
        futures += [senders.submit(cluster.pay, data, key) for key, data in payments[30:]]
        responses = [response.result() for response in futures]
    servers.start_postgres(cluster.root)
    connections["default"].close()
    assert {response.status for response in responses} <= {202, 503}, responses
    for response in responses[30:]:
        assert (response.status, response.headers["Retry-After"]) == (503, "5")
        assert (response.headers["Content-Type"], response.json()["code"]) == ("application/problem+json", "database")
    assert len(set(row_counts())) == 1, row_counts()
    accepted = [response.json()["invoiceId"] for response in responses if response.status == 202]
    assert Invoice.objects.filter(pk__in=accepted).count() == len(accepted)
    resent = [cluster.pay(data, key) for key, data in payments]
    assert {response.status for response in resent} <= {200, 202}
    assert Payment.objects.filter(order_id__in=[data["orderId"] for _, data in payments]).count() == 40
    assert len(set(row_counts())) == 1, row_counts()
    wait_until(all_issued)


def test_answers_that_arrive_while_postgresql_is_down_are_recorded_when_it_returns(cluster: Cluster) -> None:
    cluster.provider.settings(latency=1500)
    try:
        sent = cluster.provider.stats().get("create", 0)
        invoice_id = cluster.pay().json()["invoiceId"]
        wait_until(lambda: cluster.provider.stats().get("create", 0) > sent)
        servers.stop_postgres(cluster.root)
        issued = len(cluster.provider.ledger())
        wait_until(lambda: len(cluster.provider.ledger()) > issued)
    finally:
        servers.start_postgres(cluster.root)
        connections["default"].close()
        cluster.provider.settings(latency=0)
    wait_until(all_issued)
    invoice = Invoice.objects.get(pk=invoice_id)
    assert list(invoice.tracings.order_by("seq").values_list("event_type", flat=True)) == ["opened", "taken", "issued"]
    assert invoice.issuances.count() == 1


def test_the_first_wakeup_of_a_thread_waits_no_longer_than_later_ones(
    settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings.REDIS_URL, settings.CELERY_BROKER_URL = f"unix://{tmp_path}/none", f"redis+socket://{tmp_path}/none"
    monkeypatch.setattr(queues, "_connections", queues._Connections())
    monkeypatch.setattr(queues, "_paused_until", 0.0)
    started = time.perf_counter()
    queues.wake(0, force=True)
    assert time.perf_counter() - started < 10 * MAX_DELAY  # the library's own time-out is six seconds
