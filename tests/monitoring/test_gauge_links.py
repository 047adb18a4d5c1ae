"""Each gauge's link leads to exactly the rows that it counts, tried with rows just inside and just outside."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from config.base import clock
from config.models import CounterSlot
from config.monitoring import gauges
from invoices.audit import Event
from invoices.lifecycle import State
from invoices.models import Invoice, Partition
from invoices.opening.conclude import apply_facts
from invoices.opening.facts import parse_payment as payment_fact
from invoices.operations.cancel import cancel
from merchants.models import Merchant, MerchantChange, ProviderAccount, Quarantine
from tests import cast
from webhooks.inbound import receiving
from webhooks.models import WebhookDelivery, WebhookEndpoint, WebhookEvent

pytestmark = pytest.mark.django_db
NOT_A_COUNT = {  # durations and numbers left: the link leads to the list only
    "invoices_oldest_seconds", "paid_to_issued_seconds", "files_oldest_seconds", "deliveries_oldest_seconds",
    "vat_rates_change_days", "certificate_days_left", "numbers_left", "audit_broken", "audit_verified_seconds",
    "payments_parked_seconds",
}  # fmt: skip
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.fixture(autouse=True)
def without_counts(db: None) -> None:
    CounterSlot.objects.all().delete()


def invoice(build: Callable[[], Invoice], **values: Any) -> None:
    Invoice.objects.filter(pk=build().pk).update(**values)


def yesterday(build: Callable[[], Any]) -> None:
    with clock.frozen(clock.now() - DAY):
        build()


def expired() -> Invoice:
    return cast.move_to(cast.waiting(), State.EXPIRED, Event.CLAIM_WINDOW_CLOSED, actor="worker")


def account(**values: Any) -> None:
    ProviderAccount.objects.filter(merchant=cast.seller()).update(**values)


def accounts(**values: Any) -> None:
    """An account that counts. See unused_accounts for those that do not."""
    account(**values)


def unused_accounts(**values: Any) -> None:
    account(**values, is_active=False)
    account(**values, deleted_at=clock.now())


def seller(**values: Any) -> None:
    Merchant.objects.filter(pk=cast.seller().pk).update(**values)


def endpoint(**values: Any) -> WebhookEndpoint:
    return WebhookEndpoint.objects.create(url="https://cafe.example/hooks", **values)


def delivery(state: str = "pending", **of_endpoint: Any) -> None:
    row = endpoint(**of_endpoint)
    WebhookDelivery.objects.create(endpoint=row, event_id="1-1", type="invoice.issued", body="{}", state=state)


def event(status: str, kind: str) -> WebhookEvent:
    at = WebhookEvent.objects.count()
    return WebhookEvent.objects.create(
        route="internal", webhook_id=f"m-{at}", type=kind, status=status, answer_status=422, answer={}
    )


def closed(kind: str) -> None:
    receiving.close_events([event("refused", kind).pk])


def change(drift: str) -> None:
    MerchantChange.objects.create(code=f"m-{MerchantChange.objects.count()}", op="u", drift=drift)


def quarantined(replayed_at: Any) -> None:
    offset = Quarantine.objects.count()
    Quarantine.objects.create(topic="t", partition=0, offset=offset, error="x", replayed_at=replayed_at)


def parked() -> None:
    apply_facts(*payment_fact(cast.payment("nobody")), actor="test")


def held_up(**values: Any) -> None:
    now = clock.now()
    invoice(cast.queued, **{"issue_until": now + 30 * MINUTE, "not_before": now - 10 * MINUTE, **values})


def around() -> dict[str, tuple[Callable[[], Any], ...]]:
    """Rows just inside and just outside of each gauge's condition."""
    now, today = clock.now(), clock.today_vn()
    soon, later = today + timedelta(days=29), today + timedelta(days=31)
    return {
        "invoices_open": (cast.waiting, cast.queued, cast.sending, cast.uncertain, cast.issued, cast.failed),
        "claims_open": (cast.waiting, cast.queued),
        "claims_closing": (lambda: invoice(cast.waiting, claim_deadline=now + 14 * MINUTE), cast.waiting),
        "invoices_failed": (cast.failed, lambda: cast.failed(failure="late"), cast.issued),
        "invoices_failed_recently": (cast.failed, lambda: yesterday(cast.failed)),
        "invoices_ended_today": (
            *(cast.issued, cast.failed, expired, lambda: cancel(cast.waiting(), actor="user:1", reason="x")),
            *(lambda: yesterday(cast.issued), lambda: yesterday(cast.failed), lambda: yesterday(expired)),
            lambda: yesterday(lambda: cancel(cast.waiting(), actor="user:1", reason="x")),
        ),
        "issue_limit_near": (held_up, lambda: held_up(issue_until=now + 61 * MINUTE)),
        "corrections_owed": (lambda: invoice(cast.issued, correction_owed=True), cast.issued),
        "files_missing": (lambda: invoice(cast.issued, files_due=now), cast.waiting),
        "payments_parked": (parked, cast.waiting),
        "partitions_paused": (
            lambda: Partition.objects.create(number=0, paused=True), lambda: Partition.objects.create(number=1)
        ),
        "accounts_parked": (
            lambda: accounts(parked_until=now + DAY), lambda: account(parked_until=now - MINUTE),
            lambda: unused_accounts(parked_until=now + DAY),
        ),
        "accounts_paused": (lambda: accounts(paused=True), cast.seller, lambda: unused_accounts(paused=True)),
        "certificates_ending": (
            lambda: accounts(certificate_ends=soon), lambda: account(certificate_ends=later),
            lambda: unused_accounts(certificate_ends=soon),
        ),
        "accounts_short": (
            lambda: accounts(numbers_left=999), lambda: account(numbers_left=1000),
            lambda: unused_accounts(numbers_left=999),
        ),
        "tax_drift": (lambda: change("address"), lambda: change("")),
        "tax_problems": (
            lambda: seller(tax_problem="no tax code"), cast.seller, lambda: seller(tax_problem="x", deleted_at=now)
        ),
        "quarantined": (lambda: quarantined(None), lambda: quarantined(now)),
        "webhooks_not_applied": (
            *(lambda: event("refused", "payment.succeeded"), lambda: event("failed", "order.refunded")),
            *(lambda: event("failed", "payment.succeeded"), lambda: event("failed", "new.thing")),
            *(lambda: event("done", "payment.succeeded"), lambda: closed("payment.succeeded")),
        ),
        "deliveries_pending": (
            delivery, lambda: delivery("delivered"), lambda: delivery(disabled_reason="gone"),
            lambda: delivery(deleted_at=now),
        ),
        "deliveries_dead": (lambda: delivery("dead"), delivery),
        "endpoints_disabled": (
            lambda: endpoint(disabled_reason="gone"), endpoint, lambda: endpoint(disabled_reason="x", deleted_at=now)
        ),
        "endpoints_failing": (
            lambda: endpoint(failing_since=now), endpoint, lambda: endpoint(failing_since=now, deleted_at=now)
        ),
    }  # fmt: skip


@pytest.mark.parametrize("name", around())
def test_a_gauge_links_to_exactly_the_rows_that_it_counts(client: Client, name: str) -> None:
    client.force_login(User.objects.create_superuser("root", password="x"))
    before = gauges.collect_gauges()[name].total
    for build in around()[name]:
        build()
    gauge = gauges.collect_gauges()[name]
    assert gauge.total > before
    prefixes = {labels[:length] for labels in gauge.values for length in range(len(labels) + 1)}
    for prefix in prefixes & {(), *gauge.values, *gauge.links}:
        count = sum(value for labels, value in gauge.values.items() if labels[: len(prefix)] == prefix)
        link = gauge.link_of(*prefix)
        if link:
            assert client.get(link).context["cl"].result_count == count, (prefix, link)
    assert gauge.link or gauge.links


def test_every_linked_gauge_is_tested(client: Client) -> None:
    client.force_login(User.objects.create_superuser("root", password="x"))
    collected = gauges.collect_gauges()
    linked = {name for name, gauge in collected.items() if gauge.link or gauge.links}
    assert linked == {*around(), *NOT_A_COUNT}
    for name in NOT_A_COUNT:
        links = {collected[name].link, *collected[name].links.values()} - {""}
        assert links and {client.get(link).status_code for link in links} == {200}, name
