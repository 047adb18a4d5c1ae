"""For each alert a scenario that makes it fire and then ends it, through the product's own functions.

A scenario is a generator: at its first `yield` the alert must fire, at its second it must have cleared.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from io import StringIO
from typing import Any

from confluent_kafka import TopicPartition
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from config.base import clock
from invoices.dev.simulator import Simulator
from invoices.issuing.final_lookups import run_final_lookups
from invoices.issuing.pump import issue_due
from invoices.models import Invoice
from invoices.opening import facts
from invoices.opening.conclude import apply_facts
from invoices.operations.adopt import adopt
from invoices.operations.skip import skip
from invoices.upkeep import numbers_left
from invoices.upkeep.reconcile import reconcile_yesterday
from invoices.upkeep.sweep import open_parked_payments
from invoices.upkeep.verify_audit import verify_nightly
from merchants.models import Merchant, ProviderAccount, Quarantine, TaxInfo
from merchants.sync import apply_changes, drift, following, lag
from merchants.sync.messages import Message
from tests import cast
from tests.console.action_pages import perform
from tests.invoices.provider_records import issue_at_provider
from tests.invoices.upkeep.test_verify_audit import tamper
from tests.webhooks.receivers import OK, receiving
from webhooks.models import WebhookEvent
from webhooks.outbound.deliveries import deliver_due
from webhooks.outbound.events import write_test_delivery

Scenario = Iterator[None]
WHO: dict[str, Any] = {"actor": "user:1", "reason": "a test"}


def seller_at(provider: Simulator) -> Merchant:
    merchant = cast.seller(url=provider.url)
    provider.add_tenants([cast.tenant(merchant)])
    return merchant


def later(**time: float) -> Any:
    return clock.frozen(clock.now() + timedelta(**time))


def send(*invoices: Invoice) -> None:
    for partition in {invoice.partition for invoice in invoices}:
        issue_due(partition)


def down(provider: Simulator) -> Scenario:
    """Not in the database: for `HoadonDown` the test starts another process."""
    yield
    yield


def failures(provider: Simulator) -> Scenario:
    merchant = seller_at(provider)
    provider.add_fault("invalid-buyer-tax-code")
    send(*(cast.queued(merchant, buyer=cast.COMPANY) for _ in range(10)))
    yield
    with later(minutes=25):
        yield


def dead_letters(provider: Simulator) -> Scenario:
    provider.add_fault("429")
    steps, settings.RETRY_STEPS = settings.RETRY_STEPS, []
    try:
        send(cast.queued(seller_at(provider)))
    finally:
        settings.RETRY_STEPS = steps
    yield
    with later(minutes=25):
        yield


def two_numbers(provider: Simulator) -> Scenario:
    """Skipped, and found at the provider a day later."""
    merchant = seller_at(provider)
    provider.add_fault("issue-then-drop")
    sent = cast.queued(merchant)
    send(sent)
    invoice = skip(Invoice.objects.get(pk=sent.pk), **WHO)
    with later(days=2):
        assert run_final_lookups() == 1
        yield
        adopt(Invoice.objects.get(pk=invoice.pk), **WHO)
        yield


def books_differ(provider: Simulator) -> Scenario:
    issue_at_provider(cast.failed(seller_at(provider), failure="late"))
    with later(days=1):
        reconcile_yesterday()
        yield
        with later(days=1, minutes=10):
            yield


def tampered(provider: Simulator) -> Scenario:
    cast.issued()
    for night, old, new in ((0, "test", "user:1"), (1, "user:1", "test")):
        tamper("UPDATE invoices_invoiceaudittracing SET actor = %(new)s WHERE actor = %(old)s", old=old, new=new)
        with later(days=night):
            verify_nightly()
            yield


def two_payments(provider: Simulator) -> Scenario:
    invoice = cast.waiting()
    second = cast.payment(invoice.merchant, orderId=invoice.order_id, total=35000, lines=[
        {"name": "Cà phê sữa đá", "quantity": 1, "unitPrice": 35000, "vatRate": "8%"}
    ])  # fmt: skip
    apply_facts(*facts.parse_payment(second), actor="test")
    yield
    with later(days=1, minutes=5):
        yield


def post(kind: str, data: dict[str, Any]) -> int:
    call = cast.signed(cast.event(kind, data))
    return Client().post("/v1/api/webhooks/internal", **call).status_code


def refused_payment(provider: Simulator) -> Scenario:
    sale = cast.payment(cast.seller())
    assert post("payment.succeeded", {**sale, "total": 1}) == 422
    yield
    assert post("payment.succeeded", sale) == 202
    console = Client()
    console.force_login(User.objects.create_superuser("root"))
    perform(console, "close", WebhookEvent.objects.get(status="refused"))
    yield


def no_account(provider: Simulator) -> Scenario:
    merchant = cast.seller()
    account = merchant.accounts.get()
    for is_active in (False, True):
        account.is_active = is_active
        account.save()
        apply_facts(*facts.parse_payment(cast.payment(merchant)), actor="test")
        with later(minutes=61):
            open_parked_payments()
            yield


def near_the_limit(provider: Simulator) -> Scenario:
    invoice = cast.queued(seller_at(provider))
    with clock.frozen(invoice.issue_until - timedelta(minutes=30)):
        yield
        send(invoice)
        yield


def no_worker(provider: Simulator) -> Scenario:
    invoice = cast.queued(seller_at(provider))
    with later(minutes=11):
        yield
        send(invoice)
        yield


def uncertain(provider: Simulator) -> Scenario:
    provider.add_fault("issue-then-drop")
    invoice = cast.queued(seller_at(provider))
    send(invoice)
    with later(minutes=31):
        yield
        send(invoice)  # looks it up and finds it
        yield


def parked(provider: Simulator) -> Scenario:
    provider.add_fault("out-of-quota")
    invoice = cast.queued(seller_at(provider))
    send(invoice)
    yield
    provider.clear_faults()
    with later(seconds=settings.PARK_SECONDS + 1):
        send(invoice)
        assert Invoice.objects.get().state == "ISSUED"
        yield


def certificate(provider: Simulator) -> Scenario:
    account = cast.seller().accounts.get()
    for left in (29, 400):
        account.certificate_ends = clock.today_vn() + timedelta(days=left)
        account.save()
        yield


def few_numbers(provider: Simulator) -> Scenario:
    invoice = cast.issued(number="990")
    for last in (1000, 10_000):
        ProviderAccount.objects.filter(pk=invoice.account_id).update(last_number=last)
        numbers_left.count_numbers_left()
        yield


def new_rates(provider: Simulator) -> Scenario:
    for day in (date(2026, 12, 2), date(2027, 1, 1)):
        with clock.frozen(datetime.combine(day, datetime.min.time(), clock.VIETNAM)):
            yield


def drifting(provider: Simulator) -> Scenario:
    tax = {"taxCode": "0100109106", "legalName": "Công ty A", "address": "1 Lê Lợi", "method": "deduction"}
    row = {"id": "a", "name": "A", "status": "active", "metadata": {"tax": tax}}
    apply_changes.apply_envelope({"op": "c", "after": row, "source": {"lsn": 1, "ts_ms": 1}}, source="test")
    TaxInfo.objects.update(address="1 Nơi Khác")
    drift.save_drifts()
    yield
    call_command("tax_drift", fix=True, stdout=StringIO())
    yield


class Kafka:
    """A consumer that has read everything that is assigned to it."""

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition(settings.KAFKA_MERCHANT_TOPIC, 0, 7)]

    def position(self, places: list[TopicPartition]) -> list[TopicPartition]:
        return places

    def get_watermark_offsets(self, place: TopicPartition, cached: bool) -> tuple[int, int]:
        return 0, 7


def no_consumer(provider: Simulator) -> Scenario:
    before, settings.KAFKA_BOOTSTRAP_SERVERS = settings.KAFKA_BOOTSTRAP_SERVERS, "kafka:9092"
    try:
        yield
        lag.save_lag(Kafka())
        yield
    finally:
        settings.KAFKA_BOOTSTRAP_SERVERS = before


def poison(provider: Simulator) -> Scenario:
    following.apply_messages([Message(settings.KAFKA_MERCHANT_TOPIC, 0, 1, b"k", b"{")])
    yield
    Quarantine.objects.update(value=None)  # an empty message can be applied
    call_command("replay_quarantined", all=True, stdout=StringIO())
    yield


def forged(provider: Simulator) -> Scenario:
    call = cast.signed(b"{}")
    call["headers"]["webhook-signature"] = "v1,AAAA"
    for _ in range(10):
        assert Client().post("/v1/api/webhooks/internal", **call).status_code == 401
    yield
    with later(minutes=66):
        yield


def late_delivery(provider: Simulator) -> Scenario:
    with receiving() as receiver:
        write_test_delivery(receiver.endpoint())
        with later(minutes=11):
            yield
            assert deliver_due() == 1
            yield


def gone(provider: Simulator) -> Scenario:
    with receiving() as receiver:
        row = receiver.endpoint()
        write_test_delivery(row)
        receiver.answer = lambda _: (410, {})
        deliver_due()
        yield
        receiver.answer = lambda _: OK
        with later(days=1, minutes=5):
            yield


CAUSES: dict[str, Callable[[Simulator], Scenario]] = {
    "HoadonDown": down,
    "IssuanceFailuresSpike": failures,
    "DeadLettersGrow": dead_letters,
    "InvoiceConflict": two_numbers,
    "ReconciliationDifferences": books_differ,
    "AuditBroken": tampered,
    "PaymentConflict": two_payments,
    "PaymentsNotApplied": refused_payment,
    "PaymentsParkedTooLong": no_account,
    "IssueLimitNear": near_the_limit,
    "InvoicesStuck": no_worker,
    "UncertainTooLong": uncertain,
    "AccountParked": parked,
    "CertificateExpiring": certificate,
    "NumbersRunningOut": few_numbers,
    "VatRatesChange": new_rates,
    "TaxInfoDrift": drifting,
    "ConsumerSilent": no_consumer,
    "MessagesQuarantined": poison,
    "WebhooksRejected": forged,
    "DeliveriesDelayed": late_delivery,
    "EndpointDisabled": gone,
}


def without_a_database() -> subprocess.CompletedProcess[str]:
    """`alerts --once` in a process whose database does not exist."""
    environment = {**os.environ, "DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none", "HOADON_ENV": "development"}
    command = [sys.executable, "-W", "ignore", "manage.py", "alerts", "--once"]
    return subprocess.run(command, env=environment, cwd=settings.ROOT, capture_output=True, text=True, timeout=60)
