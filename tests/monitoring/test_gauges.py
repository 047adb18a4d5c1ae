"""The gauges: what each counts, and that collecting them costs a fixed number of queries."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from config.base import clock
from config.models import CounterSlot
from config.monitoring import counters, gauges
from invoices.audit import Event
from invoices.counters import bucket, quantile
from invoices.lifecycle import State
from invoices.models import Invoice
from invoices.moving import move
from invoices.opening.conclude import apply_facts
from invoices.opening.facts import parse_payment as payment_fact
from invoices.upkeep import numbers_left
from merchants.models import MerchantChange, ProviderAccount
from merchants.sync import drift
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def without_counts(db: None) -> None:
    CounterSlot.objects.all().delete()  # live servers of other tests count outside the test's transaction


def test_open_invoices_are_counted_by_state_and_partition_with_the_age_of_the_oldest() -> None:
    first, _ = cast.queued(orderId="order-1"), cast.queued(orderId="order-1")
    Invoice.objects.filter(pk=first.pk).update(not_before=clock.now() - timedelta(minutes=5))
    cast.waiting(orderId="order-3")
    collected = gauges.collect_gauges()
    assert collected["invoices_open"].values == {("QUEUED", "2"): 2, ("WAITING", "0"): 1}
    assert 300 <= collected["invoices_oldest_seconds"].value_of("QUEUED", "2") < 310
    assert collected["invoices_oldest_seconds"].value_of("WAITING", "0") == 0, "its claim window is still open"
    assert collected["claims_open"].total == 1 and collected["claims_closing"].total == 0


def test_ended_invoices_are_counted_by_outcome_and_failures_by_reason() -> None:
    with clock.frozen(datetime(2026, 11, 23, 10, 2, tzinfo=clock.VIETNAM)):
        cast.issued()
        cast.failed()
        cast.failed(failure="conflict")
        collected = gauges.collect_gauges()
        assert collected["invoices_ended_today"].values == {
            ("ISSUED",): 1,
            ("FAILED",): 2,
            ("CANCELLED",): 0,
            ("EXPIRED",): 0,
        }
        assert (
            collected["invoices_failed"].value_of("refused")
            == collected["invoices_failed_recently"].value_of("conflict")
            == 1
        )
    with clock.frozen(datetime(2026, 11, 23, 10, 21, tzinfo=clock.VIETNAM)):
        collected = gauges.collect_gauges()
        assert collected["invoices_failed_recently"].total == 0 and collected["invoices_failed"].total == 2
    with clock.frozen(datetime(2026, 11, 24, 0, 1, tzinfo=clock.VIETNAM)):
        assert gauges.collect_gauges()["invoices_ended_today"].total == 0


def test_the_time_from_payment_to_number_is_accurate_to_one_bucket() -> None:
    for seconds in (1, 10, 100, 1000, 7200):
        assert quantile({bucket(seconds): 1}, 1.0) == pytest.approx(seconds, rel=0.42)
    many = {bucket(2.0): 90, bucket(7000): 10}
    assert quantile(many, 0.5) < 3 and quantile(many, 0.95) > 5000
    assert quantile({}, 0.5) == 0
    invoice = cast.sending()
    Invoice.objects.filter(pk=invoice.pk).update(paid_at=clock.now() - timedelta(seconds=60))
    facts = {"number": "1", "issued_at": clock.now()}
    move([invoice.pk], cast.step_to(State.ISSUED, Event.ISSUED, **facts), actor="worker")
    assert gauges.collect_gauges()["paid_to_issued_seconds"].value_of("0.5") == pytest.approx(60, rel=0.42)


def test_a_move_that_is_rolled_back_is_not_counted() -> None:
    from django.db import transaction

    with pytest.raises(RuntimeError), transaction.atomic():
        cast.failed()
        raise RuntimeError
    assert not CounterSlot.objects.exists()


def test_old_counts_are_pruned_and_recent_ones_are_kept() -> None:
    with clock.frozen(clock.now() - timedelta(days=9)):
        counters.count({("x", ""): 1})
    counters.count({("x", ""): 2})
    assert counters.prune() == 1 and counters.count_since(clock.now(), ["x"]) == {("x", ""): 2}


def test_two_counts_of_one_connection_share_a_row() -> None:
    with clock.frozen(clock.now()):
        counters.count({("x", "a"): 1})
        counters.count({("x", "a"): 2, ("x", "b"): 1})
    assert sorted(CounterSlot.objects.values_list("label", "count")) == [("a", 3), ("b", 1)]


def test_every_rejected_webhook_is_counted_by_reason(client: Client) -> None:
    url = "/v1/api/webhooks/merchant"
    good = cast.signed(b"{}", route="merchant")
    client.post(url, **{**good, "headers": {**good["headers"], "webhook-signature": "v1,AAAA"}})
    client.post(url, **good)
    sale = cast.payment(cast.seller(), total=1)
    client.post("/v1/api/webhooks/internal", **cast.signed(cast.event("payment.succeeded", sale)))
    collected = gauges.collect_gauges()
    assert collected["webhooks_rejected"].values == {
        ("merchant", "signature"): 1,
        ("merchant", "no_type"): 1,
        ("internal", "refused"): 1,
    }
    assert collected["webhooks_not_applied"].values == {("refused", "payment.succeeded"): 1}
    with clock.frozen(clock.now() + timedelta(minutes=66)):
        assert gauges.collect_gauges()["webhooks_rejected"].total == 0


def test_accounts_with_an_expiring_certificate_or_few_numbers_are_counted() -> None:
    soon, short, fine = (cast.seller().accounts.get() for _ in range(3))
    ProviderAccount.objects.filter(pk=soon.pk).update(certificate_ends=clock.today_vn() + timedelta(days=29))
    ProviderAccount.objects.filter(pk=fine.pk).update(
        certificate_ends=clock.today_vn() + timedelta(days=90), last_number=90_000
    )
    ProviderAccount.objects.filter(pk=short.pk).update(last_number=1000)
    cast.issued(short.merchant, number="990")
    assert numbers_left.count_numbers_left() == 2
    assert ProviderAccount.objects.get(pk=short.pk).numbers_left == 10
    assert ProviderAccount.objects.get(pk=fine.pk).numbers_left == 90_000
    collected = gauges.collect_gauges()
    assert collected["certificates_ending"].values == collected["accounts_short"].values == {("viettel",): 1}
    assert collected["accounts_parked"].total == collected["accounts_paused"].total == 0


def test_drift_is_counted_until_it_is_gone() -> None:
    merchant = cast.seller()
    row = {"id": merchant.code, "metadata": {"tax": {"taxCode": "0100109106", "legalName": "Other", "address": "x"}}}
    MerchantChange.objects.create(code=merchant.code, op="u", ts_ms=1, lsn=1, row=row)
    assert drift.save_drifts() == 1 and gauges.collect_gauges()["tax_drift"].total == 1
    MerchantChange.objects.update(op="d")
    assert drift.save_drifts() == 0 and gauges.collect_gauges()["tax_drift"].total == 0


def test_the_days_until_the_vat_rates_change_are_counted() -> None:
    with clock.frozen(datetime(2026, 12, 22, 9, tzinfo=clock.VIETNAM)):
        assert gauges.collect_gauges()["vat_rates_change_days"].values == {("2027-01-01",): 10}
    with clock.frozen(datetime(2027, 1, 2, 9, tzinfo=clock.VIETNAM)):
        assert gauges.collect_gauges()["vat_rates_change_days"].values == {}


def test_parked_payments_are_counted_by_what_is_missing() -> None:
    apply_facts(*payment_fact(cast.payment("nobody")), actor="test")
    assert gauges.collect_gauges()["payments_parked"].value_of("merchant") == 1


def test_the_number_of_queries_does_not_depend_on_the_rows() -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            gauges.collect_gauges()
        return len(captured)

    before = queries()
    for _ in range(3):
        cast.failed(), cast.issued(), cast.queued()
    assert queries() == before <= 30


def test_every_gauge_has_a_help_sentence_and_every_value_all_labels() -> None:
    cast.failed()
    collected: list[Any] = list(gauges.collect_gauges().values())
    for gauge in collected:
        assert gauge.help.endswith("."), gauge.name
        assert all(len(labels) == len(gauge.labels) for labels in gauge.values), gauge.name
