"""Redis away, Redis hanging, PostgreSQL away: real servers of this module's own, the real API, a real worker."""

import json
import os
import statistics
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import environ
import pytest
import redis
from django.core.management import call_command
from django.db import connections

from config.modes import api, beat, worker
from invoices import partitions
from invoices.demo.processes import Crew, free_port
from invoices.lifecycle import State
from invoices.models import Invoice, InvoiceRequest, Payment
from invoices.partitions import issuance_queue
from invoices.providers.simulator import Simulator, running
from merchants.models import Merchant
from tests import cast
from tests.chaos import servers
from webhooks.models import WebhookEvent

PROMISE = 0.2  # seconds that a payment is delayed at most by a Redis that is away
NOISE = 0.4  # what a busy machine may add to any request
PATIENCE = 40


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Any
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class House:
    root: Path
    url: str
    redis_url: str
    provider: Simulator
    seller: Merchant

    def pay(self, data: dict[str, Any] | None = None, webhook_id: str = "") -> Answer:
        data = data or cast.payment(self.seller)
        event = {**cast.event("payment.succeeded", data), "timestamp": data["paidAt"]}  # again: the same body
        call = cast.signed(event, webhook_id=webhook_id)
        headers = {**call["headers"], "Content-Type": call["content_type"]}
        request = urllib.request.Request(f"{self.url}/v1/api/webhooks/internal", call["data"], headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as answer:
            return Answer(answer.code, answer.headers, answer.read())

    def timed(self, count: int) -> list[float]:
        """Seconds of so many payments, one after the other; each is accepted."""
        seconds = []
        for _ in range(count):
            started = time.perf_counter()
            answer = self.pay()
            seconds.append(time.perf_counter() - started)
            assert (answer.status, answer.json()["state"]) == (202, "QUEUED"), answer.body
        return seconds


@pytest.fixture(scope="module")
def house(tmp_path_factory: Any, django_db_blocker: Any) -> Iterator[House]:
    root = tmp_path_factory.mktemp("outages")
    database_url, redis_url = servers.start_postgres(root), servers.start_valkey(root)
    port = free_port(0)
    ours = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "HOADON_ENV": "development", "SWEEP_SECONDS": "1"}
    before = {name: os.environ.get(name) for name in ours}
    os.environ |= ours
    suite = dict(connections["default"].settings_dict)
    connections["default"].close()
    connections["default"].settings_dict |= environ.Env.db_url_config(database_url)
    try:
        with django_db_blocker.unblock(), running() as provider, Crew(root / "logs") as crew:
            call_command("migrate", verbosity=0)
            call_command("loaddata", "legal_rules", verbosity=0)
            seller = cast.seller(url=provider.url, claim_window=0)
            provider.tenants([cast.tenant(seller)])
            crew.start("api", *api(port))
            crew.start("worker", *worker("outages", "hoadon", *(issuance_queue(p) for p in range(3))))
            crew.start("beat", *beat())
            crew.wait_for("api", f"http://127.0.0.1:{port}/admin/login/")
            yield House(root, f"http://127.0.0.1:{port}", redis_url, provider, seller)
    finally:
        connections["default"].close()
        connections["default"].settings_dict |= suite
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        servers.stop_valkey(redis_url)
        servers.stop_postgres(root)


def until(true: Callable[[], bool]) -> None:
    """Wait for the processes to get there."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "not within patience"
        time.sleep(0.1)


def all_issued() -> bool:
    return not Invoice.objects.exclude(state=State.ISSUED).exists()


def rows() -> tuple[int, int, int, int]:
    return (
        WebhookEvent.objects.count(),
        Payment.objects.count(),
        InvoiceRequest.objects.filter(invoice__isnull=False).count(),
        Invoice.objects.count(),
    )


def test_without_redis_payments_are_stored_hardly_later_and_issued_when_it_returns(house: House) -> None:
    usual = statistics.median(house.timed(10))
    servers.stop_valkey(house.redis_url)
    slowest = max(house.timed(10))
    assert slowest < usual + PROMISE + NOISE
    servers.start_valkey(house.root)
    until(all_issued)
    assert len(house.provider.ledger()) == Invoice.objects.count()


def test_a_redis_that_hangs_delays_a_payment_no_longer_than_one_that_is_away(house: House) -> None:
    usual = statistics.median(house.timed(10))
    pid = redis.Redis.from_url(house.redis_url).info("server")["process_id"]
    with servers.frozen(pid):
        slowest = max(house.timed(10))
    assert slowest < usual + PROMISE + NOISE
    until(all_issued)


def test_without_postgresql_payments_are_503_and_nothing_is_half_done(house: House) -> None:
    payments = [(f"outage-{at}", cast.payment(house.seller)) for at in range(40)]
    with ThreadPoolExecutor(8) as senders:
        answers = [senders.submit(house.pay, data, key) for key, data in payments[:30]]
        servers.stop_postgres(house.root)  # in the middle of them
        answers += [senders.submit(house.pay, data, key) for key, data in payments[30:]]
        told = [answer.result() for answer in answers]
    servers.start_postgres(house.root)
    connections["default"].close()
    assert {answer.status for answer in told} <= {202, 503}, told
    for answer in told[30:]:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert (answer.headers["Content-Type"], answer.json()["code"]) == ("application/problem+json", "database")
    assert len(set(rows())) == 1, rows()
    promised = [answer.json()["invoiceId"] for answer in told if answer.status == 202]
    assert Invoice.objects.filter(pk__in=promised).count() == len(promised)
    again = [house.pay(data, key) for key, data in payments]
    assert {answer.status for answer in again} <= {200, 202}
    assert Payment.objects.filter(order_id__in=[data["orderId"] for _, data in payments]).count() == 40
    assert len(set(rows())) == 1, rows()
    until(all_issued)


def test_answers_that_come_while_postgresql_is_away_are_held_and_recorded(house: House) -> None:
    house.provider.settings(latency=1500)
    try:
        asked = house.provider.stats().get("create", 0)
        invoice_id = house.pay().json()["invoiceId"]
        until(lambda: house.provider.stats().get("create", 0) > asked)
        servers.stop_postgres(house.root)
        issued = len(house.provider.ledger())
        until(lambda: len(house.provider.ledger()) > issued)
    finally:
        servers.start_postgres(house.root)
        connections["default"].close()
        house.provider.settings(latency=0)
    until(all_issued)
    invoice = Invoice.objects.get(pk=invoice_id)
    assert list(invoice.tracings.order_by("seq").values_list("event_type", flat=True)) == ["opened", "taken", "issued"]
    assert invoice.issuances.count() == 1


def test_the_first_bell_of_a_thread_waits_no_longer_than_the_next(
    settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings.REDIS_URL, settings.CELERY_BROKER_URL = f"unix://{tmp_path}/none", f"redis+socket://{tmp_path}/none"
    monkeypatch.setattr(partitions, "_wires", partitions._Wires())
    monkeypatch.setattr(partitions, "_silent_until", 0.0)
    started = time.perf_counter()
    partitions.ring(0, regardless=True)
    assert time.perf_counter() - started < PROMISE + NOISE
