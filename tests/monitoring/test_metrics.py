"""/metrics: complete with no worker up, told from PostgreSQL, in Prometheus' own words."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from prometheus_client.parser import text_string_to_metric_families as parse

from config.base import clock
from config.models import CounterTotal
from config.monitoring import counters, metrics
from invoices.issuing.pump import issue_due
from invoices.lifecycle import State
from invoices.models import Invoice
from tests import cast

# What must be told, by the words of the issue: no panel and no alert may find nothing.
WANTED = {
    "accepted": "events_accepted_total{outcome,route}",
    "opened": "opened_total{by}",
    "claimed": "claims_total{kind}",
    "issued": "ended_total{state}",
    "failed by reason": "failures_total{reason}",
    "retries": "retries_total",
    "uncertain": "doubts_total",
    "look-ups": "provider_calls_total{kind,outcome,provider}",
    "dead letters": "invoices_failed{reason}",
    "depth per partition and state": "invoices_open{partition,state}",
    "oldest age per partition and state": "invoices_oldest_seconds{partition,state}",
    "paid → issued histogram": "time_to_issue_seconds_bucket{le}",
    "provider call latency": "provider_call_seconds_bucket{kind,le,provider}",
    "provider errors by class": "provider_calls_total{kind,outcome,provider}",
    "accounts parked": "accounts_parked{provider}",
    "certificate expiry": "certificate_days_left",
    "token expiry": "identity_keys_seconds_left",
    "quota left": "numbers_left",
    "consumer lag": "consumer_lag{topic}",
    "quarantine size": "quarantined",
    "tax drift": "tax_drift",
    "webhook rejects by source and reason": "webhook_rejects_total{reason,route}",
    "outbound backlog": "deliveries_pending",
    "leased worker ids": "worker_id{worker_id}",
}


@pytest.fixture(autouse=True)
def nobody_asked_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "collector", metrics.MetricsCollector())


def scrape(text: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Values by labels' values, by the name of the sample with its labels' names."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in parse(text):
        for sample in family.samples:
            names = f"{{{','.join(sorted(sample.labels))}}}" if sample.labels else ""
            key = sample.name.removeprefix("hoadon_") + names
            found.setdefault(key, {})[tuple(value for _, value in sorted(sample.labels.items()))] = sample.value
    return found


def told(client: Client) -> dict[str, dict[tuple[str, ...], float]]:
    metrics.collector = metrics.MetricsCollector()
    answer = client.get("/metrics")
    assert answer.status_code == 200 and answer["Content-Type"].startswith("text/plain")
    return scrape(answer.content.decode())


@pytest.mark.django_db
def test_every_metric_is_told_of_an_empty_database_with_nothing_running(client: Client) -> None:
    found = told(client)
    assert [words for words, name in WANTED.items() if not found.get(name)] == []
    assert found["up"] == {(): 1}
    assert found["invoices_open{partition,state}"][("2", "QUEUED")] == 0
    assert found["failures_total{reason}"][("exhausted",)] == 0
    assert len(found["provider_calls_total{kind,outcome,provider}"]) == 10


@pytest.mark.django_db
def test_labels_are_bounded_no_merchant_and_no_order_is_one(client: Client) -> None:
    signed = cast.signed(cast.event("payment.madeUp" + "x" * 9, {"orderId": "order-1"}))
    assert client.post("/v1/api/webhooks/internal", **signed).status_code == 422
    cast.failed(orderId="order-1")
    text = client.get("/metrics").content.decode()
    assert "seller-" not in text and "order-" not in text and "madeUp" not in text
    assert scrape(text)["webhooks_not_acted{status,type}"][("refused", "other")] == 1


@pytest.mark.django_db(transaction=True)
def test_a_flow_is_counted_where_it_happens(client: Client, provider: Any, quick: None) -> None:
    seller = cast.seller(url=provider.url, claim_window=0)
    provider.tenants([cast.tenant(seller)])
    provider.faults("5xx-after-issue", count=1)
    for _ in range(3):
        assert client.post(
            "/v1/api/webhooks/internal", **cast.signed(cast.event("payment.succeeded", cast.payment(seller)))
        ).status_code == 202  # fmt: skip
    client.post("/v1/api/webhooks/merchant", **cast.signed(b"{}", route="internal"))
    while Invoice.objects.exclude(state=State.ISSUED).exists():
        for partition in range(3):
            issue_due(partition)
    found = told(client)
    calls = found["provider_calls_total{kind,outcome,provider}"]
    assert found["events_accepted_total{outcome,route}"][("opened", "internal")] == 3
    assert found["opened_total{by}"][("webhook:internal",)] == 3
    assert found["webhook_rejects_total{reason,route}"][("signature", "merchant")] == 1
    assert found["ended_total{state}"][("ISSUED",)] == 3
    assert (calls["send", "issued", "viettel"], calls["send", "uncertain", "viettel"]) == (2, 1)
    assert calls["look_up", "found", "viettel"] == found["doubts_total"][()] == 1
    sends = found["provider_call_seconds_bucket{kind,le,provider}"]
    assert sends["send", "+Inf", "viettel"] == 3 == found["time_to_issue_seconds_count"][()]
    waits = [value for (le,), value in found["time_to_issue_seconds_bucket{le}"].items()]
    assert waits == sorted(waits) and waits[-1] == 3


@pytest.mark.django_db
def test_a_scrape_costs_the_same_whatever_there_is(client: Client) -> None:
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as seen:
            told(client)
        counts.append(len(seen))
        for _ in range(3):
            cast.issued()
            cast.failed()
            counters.count({("provider_call", "viettel:send:issued:1"): 1})
    assert counts[0] == counts[1] <= 40


@pytest.mark.django_db
def test_folding_changes_no_total_and_what_was_forgotten_still_counts(client: Client) -> None:
    start = counters.slot_start(clock.now())
    for ago in (9 * 24 * 60, 60, 20, 0):
        with clock.frozen(start - timedelta(minutes=ago)):
            counters.count({("x", "a"): 1, ("x", str(ago)): 2})
    before = counters.totals()
    assert before[("x", "a")] == 4
    for _ in range(2):
        counters.fold()
        assert counters.totals() == before
    assert CounterTotal.objects.get(name="x", label="a").count == 3, "the youngest slots may still be added to"
    assert counters.prune() == 2 and counters.totals() == before
    counters.count({("x", "a"): 1})
    with clock.frozen(start + timedelta(minutes=30)):
        counters.fold()
        assert counters.totals() == {**before, ("x", "a"): 5}
        assert CounterTotal.objects.get(name="x", label="a").count == 5


@pytest.mark.django_db(transaction=True)
def test_two_who_fold_at_once_count_nothing_twice() -> None:
    with clock.frozen(clock.now() - timedelta(hours=1)):
        counters.count({("x", str(at)): 1 for at in range(50)})
    before, barrier = counters.totals(), threading.Barrier(4)

    def fold() -> None:
        barrier.wait()
        counters.fold()
        connection.close()

    threads = [threading.Thread(target=fold) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counters.totals() == before and CounterTotal.objects.count() == 50


@pytest.mark.django_db
def test_it_is_told_to_whoever_holds_the_token_where_there_is_one(client: Client, settings: Any) -> None:
    settings.METRICS_TOKEN = "s3cret"
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer s3creT"}).status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer s3cret"}).status_code == 200


@pytest.mark.django_db
def test_a_statement_that_takes_too_long_is_given_up_and_said(client: Client, settings: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("merchants.metrics.counters", slow, raising=False)
    monkeypatch.setattr(metrics, "STATEMENT_TIMEOUT", 50)
    assert told(client) == {"up": {(): 0}}


def slow(totals: metrics.Totals) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(30)")
    return []
