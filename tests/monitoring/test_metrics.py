"""/metrics: complete while no worker runs, read from PostgreSQL, in Prometheus' format."""

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

# The required metrics and their labels.
REQUIRED = {
    "accepted": "events_accepted_total{outcome,route}",
    "opened": "invoices_opened_total{by}",
    "claimed": "claims_total{kind}",
    "issued": "invoices_ended_total{state}",
    "failed by reason": "invoices_failures_total{reason}",
    "retries": "issuance_retries_total",
    "uncertain": "invoices_uncertain_total",
    "look-ups": "provider_calls_total{kind,outcome,provider}",
    "dead letters": "invoices_failed{reason}",
    "depth per partition and state": "invoices_open{partition,state}",
    "oldest age per partition and state": "invoices_oldest_seconds{partition,state}",
    "paid → issued histogram": "invoices_time_to_issue_seconds_bucket{le}",
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
def without_cached_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "collector", metrics.MetricsCollector())


def parse_samples(text: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Values by label values, by "name{label names}"."""
    samples: dict[str, dict[tuple[str, ...], float]] = {}
    for family in parse(text):
        for sample in family.samples:
            names = f"{{{','.join(sorted(sample.labels))}}}" if sample.labels else ""
            key = sample.name.removeprefix("hoadon_") + names
            samples.setdefault(key, {})[tuple(value for _, value in sorted(sample.labels.items()))] = sample.value
    return samples


def scrape(client: Client) -> dict[str, dict[tuple[str, ...], float]]:
    metrics.collector = metrics.MetricsCollector()
    response = client.get("/metrics")
    assert response.status_code == 200 and response["Content-Type"].startswith("text/plain")
    return parse_samples(response.content.decode())


@pytest.mark.django_db
def test_every_metric_is_exported_for_an_empty_database_without_workers(client: Client) -> None:
    samples = scrape(client)
    assert [metric for metric, name in REQUIRED.items() if not samples.get(name)] == []
    assert samples["up"] == {(): 1}
    assert samples["invoices_open{partition,state}"][("2", "QUEUED")] == 0
    assert samples["invoices_failures_total{reason}"][("exhausted",)] == 0
    assert len(samples["provider_calls_total{kind,outcome,provider}"]) == 10


@pytest.mark.django_db
def test_no_label_holds_a_merchant_an_order_or_an_unknown_type(client: Client) -> None:
    signed = cast.signed(cast.event("payment.madeUp" + "x" * 9, {"orderId": "order-1"}))
    assert client.post("/v1/api/webhooks/internal", **signed).status_code == 422
    cast.failed(orderId="order-1")
    text = client.get("/metrics").content.decode()
    assert "seller-" not in text and "order-" not in text and "madeUp" not in text
    assert parse_samples(text)["webhooks_not_applied{status,type}"][("refused", "other")] == 1


@pytest.mark.django_db(transaction=True)
def test_invoices_are_counted_from_payment_to_number(client: Client, provider: Any, short_delays: None) -> None:
    seller = cast.seller(url=provider.url, claim_window=0)
    provider.add_tenants([cast.tenant(seller)])
    provider.add_fault("5xx-after-issue", count=1)
    for _ in range(3):
        assert client.post(
            "/v1/api/webhooks/internal", **cast.signed(cast.event("payment.succeeded", cast.payment(seller)))
        ).status_code == 202  # fmt: skip
    client.post("/v1/api/webhooks/merchant", **cast.signed(b"{}", route="internal"))
    while Invoice.objects.exclude(state=State.ISSUED).exists():
        for partition in range(3):
            issue_due(partition)
    samples = scrape(client)
    calls = samples["provider_calls_total{kind,outcome,provider}"]
    assert samples["events_accepted_total{outcome,route}"][("opened", "internal")] == 3
    assert samples["invoices_opened_total{by}"][("webhook:internal",)] == 3
    assert samples["webhook_rejects_total{reason,route}"][("signature", "merchant")] == 1
    assert samples["invoices_ended_total{state}"][("ISSUED",)] == 3
    assert (calls["send", "issued", "viettel"], calls["send", "uncertain", "viettel"]) == (2, 1)
    assert calls["look_up", "found", "viettel"] == samples["invoices_uncertain_total"][()] == 1
    sends = samples["provider_call_seconds_bucket{kind,le,provider}"]
    assert sends["send", "+Inf", "viettel"] == 3 == samples["invoices_time_to_issue_seconds_count"][()]
    waits = [value for (le,), value in samples["invoices_time_to_issue_seconds_bucket{le}"].items()]
    assert waits == sorted(waits) and waits[-1] == 3


@pytest.mark.django_db
def test_the_number_of_queries_of_a_scrape_does_not_depend_on_the_rows(client: Client) -> None:
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as captured:
            scrape(client)
        counts.append(len(captured))
        for _ in range(3):
            cast.issued()
            cast.failed()
            counters.count({("provider_call", "viettel:send:issued:1"): 1})
    assert counts[0] == counts[1] <= 40


@pytest.mark.django_db
def test_folding_changes_no_total_and_pruned_slots_stay_counted(client: Client) -> None:
    start = counters.slot_start(clock.now())
    for ago in (9 * 24 * 60, 60, 20, 0):
        with clock.frozen(start - timedelta(minutes=ago)):
            counters.count({("x", "a"): 1, ("x", str(ago)): 2})
    before = counters.totals()
    assert before[("x", "a")] == 4
    for _ in range(2):
        counters.fold()
        assert counters.totals() == before
    assert CounterTotal.objects.get(name="x", label="a").count == 3, "the newest slots may still change"
    assert counters.prune() == 2 and counters.totals() == before
    counters.count({("x", "a"): 1})
    with clock.frozen(start + timedelta(minutes=30)):
        counters.fold()
        assert counters.totals() == {**before, ("x", "a"): 5}
        assert CounterTotal.objects.get(name="x", label="a").count == 5


@pytest.mark.django_db(transaction=True)
def test_two_folds_at_once_count_nothing_twice() -> None:
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
def test_a_configured_token_is_required(client: Client, settings: Any) -> None:
    settings.METRICS_TOKEN = "s3cret"
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer s3creT"}).status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer s3cret"}).status_code == 200


@pytest.mark.django_db
def test_a_slow_statement_is_cancelled_and_reported(client: Client, settings: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("merchants.metrics.counters", slow, raising=False)
    monkeypatch.setattr(metrics, "STATEMENT_TIMEOUT", 50)
    assert scrape(client) == {"up": {(): 0}}


def slow(totals: metrics.Totals) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(30)")
    return []
