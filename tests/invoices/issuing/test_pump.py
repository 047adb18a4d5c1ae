"""The pump against a provider on a real socket, with real PostgreSQL and real threads."""

import itertools
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from config.base import clock
from invoices.dev.simulator import Simulator, running
from invoices.issuing.pump import issue_due
from invoices.issuing.take import take
from invoices.lifecycle import State
from invoices.models import Invoice, InvoiceIssuance
from invoices.queues import partition_of
from merchants.models import ProviderAccount
from tests import cast

pytestmark = pytest.mark.django_db(transaction=True)


def seller_at(provider: Simulator, **overrides: Any) -> Any:
    merchant = cast.seller(url=provider.url, **overrides)
    provider.add_tenants([cast.tenant(merchant)])
    return merchant


def in_threads(*works: Any) -> None:
    """Run all at once, each with its own connection. Raises the first error of any."""
    barrier, errors = threading.Barrier(len(works)), []

    def run(work: Any) -> None:
        try:
            barrier.wait()
            work()
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def pump_all(seconds: float = 20) -> None:
    """Run one worker a partition until nothing is owed."""
    until = time.monotonic() + seconds
    open_states = (State.QUEUED, State.SENDING, State.UNCERTAIN, State.SUBMITTED)
    while Invoice.objects.filter(state__in=open_states).exists() and time.monotonic() < until:
        in_threads(*(lambda p=p: issue_due(p) for p in range(3)))


def test_a_due_invoice_is_issued_and_carries_what_the_provider_gave(provider: Simulator) -> None:
    invoice = cast.queued(seller_at(provider), buyer=cast.COMPANY)
    issue_due(invoice.partition)
    invoice.refresh_from_db()
    (row,) = provider.ledger()
    assert (invoice.state, invoice.number, invoice.code) == (State.ISSUED, str(row["number"]), row["code"])
    assert row["transactionUuid"] == str(invoice.reference)
    assert row["total"] == invoice.total
    issuance = invoice.issuances.get()
    assert (issuance.outcome, issuance.number, issuance.attempt) == ("issued", invoice.number, 1)
    events = list(invoice.tracings.values_list("event_type", flat=True))
    assert events == ["opened", "claim_window_closed", "taken", "issued"]
    assert invoice.files_due is not None


def test_two_hundred_invoices_of_forty_accounts_are_each_issued_once(provider: Simulator) -> None:
    merchants = [seller_at(provider) for _ in range(40)]
    for at in range(200):
        cast.queued(merchants[at % 40])
    pump_all()
    assert set(Invoice.objects.values_list("state", flat=True)) == {State.ISSUED}
    summary = provider.summary()
    assert (summary["invoices"], summary["duplicates"], summary["gaps"]) == (200, {}, 0)


def test_two_workers_on_one_partition_never_send_one_invoice_twice(provider: Simulator) -> None:
    provider.settings(latency=20)
    merchants = [seller_at(provider) for _ in range(5)]
    for at in range(60):
        cast.queued(merchants[at % 5], orderId=f"same-{at * 3}")
    in_threads(*(lambda p=p: issue_due(p) for p in (0, 1, 2, 0, 1, 2)))
    pump_all()
    assert InvoiceIssuance.objects.count() == 60
    assert provider.summary()["invoices"] == 60


def test_an_account_with_one_slot_never_has_two_open_sends(provider: Simulator) -> None:
    provider.settings(latency=15)
    merchant = seller_at(provider)
    ProviderAccount.objects.update(in_flight=1)
    for _ in range(18):
        cast.queued(merchant)
    assert len(set(Invoice.objects.values_list("partition", flat=True))) == 3
    watching, most = threading.Event(), [0]

    def watch() -> None:
        while not watching.is_set():
            most[0] = max(most[0], Invoice.objects.filter(state=State.SENDING).count())
        connections.close_all()

    watcher = threading.Thread(target=watch)
    watcher.start()
    in_threads(*(lambda p=p: issue_due(p) for p in (0, 0, 1, 1, 2, 2)))
    pump_all()
    watching.set()
    watcher.join()
    assert most[0] == 1
    assert Invoice.objects.filter(state=State.ISSUED).count() == 18


def test_a_provider_that_hangs_for_one_merchant_delays_no_other_merchant(provider: Simulator) -> None:
    quick = seller_at(provider)
    with running() as hung:
        hung.add_fault("hang", seconds=120, endpoint="create")
        hanging = cast.queued(seller_at(hung), orderId="order-1")  # partition 2
        worker = threading.Thread(target=lambda: (issue_due(2), connections.close_all()), daemon=True)
        worker.start()
        while hung.stats().get("create", 0) == 0:
            assert worker.is_alive()
            time.sleep(0.02)
        started = time.monotonic()
        other = cast.queued(quick, orderId="1234567890123456789")  # the same partition, while the worker waits
        while Invoice.objects.get(pk=other.pk).state != State.ISSUED:
            assert time.monotonic() < started + 30, "another merchant waited for the slow provider"
            time.sleep(0.02)
        assert Invoice.objects.get(pk=hanging.pk).state == State.SENDING
    worker.join(60)  # the provider has stopped: the hanging call ends, and so does the worker
    assert not worker.is_alive()
    assert Invoice.objects.get(pk=hanging.pk).state in (State.ISSUED, State.UNCERTAIN)


def test_a_batch_costs_the_same_number_of_queries_whatever_its_size(provider: Simulator) -> None:
    merchants = [seller_at(provider, claim_window=0) for _ in range(10)]

    orders = (order for at in itertools.count() if partition_of(order := f"batch-{at}") == 0)

    def queries_for(count: int) -> int:
        for at in range(count):
            cast.queued(merchants[at % 10], orderId=next(orders))
        with CaptureQueriesContext(connection) as captured:
            calls = take(0, 200)
        assert len(calls) == count
        return len([query for query in captured if "SAVEPOINT" not in query["sql"]])

    ProviderAccount.objects.update(in_flight=10)
    assert queries_for(10) == 13  # the accounts' first sends of the day save their date
    assert queries_for(4) == queries_for(30) == 12


def test_nothing_of_a_later_day_is_sent_while_its_account_owes_an_earlier_one(provider: Simulator) -> None:
    merchant = seller_at(provider)
    today, tomorrow = cast.queued(merchant), cast.queued(merchant)
    Invoice.objects.filter(pk=tomorrow.pk).update(issue_date=clock.today_vn() + timedelta(days=1))
    calls = [call for p in range(3) for call in take(p, 200)]
    assert [call.invoice_id for call in calls] == [today.pk]


def test_a_parked_account_sends_nothing_and_then_exactly_one_invoice(provider: Simulator) -> None:
    merchant = seller_at(provider)
    for _ in range(6):
        cast.queued(merchant)
    ProviderAccount.objects.update(parked_until=clock.now() + timedelta(minutes=5))
    assert [call for p in range(3) for call in take(p, 200)] == []
    ProviderAccount.objects.update(parked_until=clock.now())
    assert len([call for p in range(3) for call in take(p, 200)]) == 1


def test_a_time_out_after_the_provider_issued_is_found_and_never_sent_again(
    provider: Simulator, short_delays: None
) -> None:
    provider.add_fault("issue-then-drop", count=1)
    invoice = cast.queued(seller_at(provider))
    pump_all()
    invoice.refresh_from_db()
    assert invoice.state == State.ISSUED
    assert provider.summary()["invoices"] == 1
    assert invoice.issuances.count() == 1
    assert "found" in invoice.tracings.values_list("event_type", flat=True)


def test_a_5xx_is_recorded_as_uncertain(provider: Simulator) -> None:
    provider.add_fault("5xx-after-issue", count=1)
    invoice = cast.queued(seller_at(provider))
    issue_due(invoice.partition)
    assert invoice.issuances.get().outcome == InvoiceIssuance.Outcome.UNCERTAIN


def test_a_send_that_never_arrived_is_proven_absent_twice_before_it_is_sent_again(
    provider: Simulator, short_delays: None
) -> None:
    provider.add_fault("drop-before", count=1, endpoint="create")
    invoice = cast.queued(seller_at(provider))
    pump_all()
    invoice.refresh_from_db()
    assert invoice.state == State.ISSUED
    first, second = invoice.issuances.order_by("id")
    assert (first.outcome, first.not_founds) == ("uncertain", 2)
    assert (second.outcome, second.number) == ("issued", invoice.number)
    assert first.document_sha256 == second.document_sha256


def test_a_refused_buyer_fails_with_the_vendor_s_code_and_message(provider: Simulator) -> None:
    provider.add_fault("invalid-buyer-tax-code")
    invoice = cast.queued(seller_at(provider), buyer=cast.COMPANY)
    issue_due(invoice.partition)
    invoice.refresh_from_db()
    assert (invoice.state, invoice.failure, invoice.exposed) == (State.FAILED, "refused", False)
    assert invoice.failure_code and invoice.failure_message


def test_an_account_without_quota_is_parked_and_no_attempt_is_used_up(provider: Simulator) -> None:
    provider.add_fault("out-of-quota")
    invoice = cast.queued(seller_at(provider))
    issue_due(invoice.partition)
    invoice.refresh_from_db()
    account = ProviderAccount.objects.get()
    assert (invoice.state, invoice.attempts, invoice.exposed) == (State.QUEUED, 0, False)
    assert account.parked_until is not None and account.parked_until > clock.now()
