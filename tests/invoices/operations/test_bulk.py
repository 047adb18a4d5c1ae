"""Bulk runs: each item of the dry run is performed once, even if the worker dies, and nothing waits for the run."""

import os
import threading
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from config.base import crypto
from config.processes.shutdown import shutdown
from invoices.dev.simulator import Simulator
from invoices.issuing.pump import issue_due
from invoices.lifecycle import State
from invoices.models import BulkItem, BulkRun, Invoice, InvoiceAuditTracing
from invoices.operations import bulk, bulk_worker
from merchants.models import ProviderAccount
from tests import cast
from tests.invoices.admin.action_rows import dead_letters
from tests.invoices.bulk_runs import WHY, S, create_run, preview_run, start_run, work_until
from tests.invoices.provider_records import issue_at_provider, seller_at

pytestmark = pytest.mark.django_db
MANY = int(os.environ.get("BULK_LETTERS", "200"))  # more on request


@pytest.mark.django_db(transaction=True)
def test_dead_letters_are_replayed_as_previewed_while_another_invoice_is_issued(provider: Simulator) -> None:
    dead_letters(MANY)
    run = preview_run(state=State.FAILED)
    preview = run.counts()
    half = MANY // 2
    assert (preview["total"], preview["would_act"], preview["acted"]) == (MANY, half, 0)
    assert bulk.count_reasons(run.items.filter(would_act=False)) == [
        ("A send of the order was uncertain. It may change after the final look-up.", MANY // 4),
        ("The order was partly refunded. Amend its lines first.", MANY // 4),
    ]
    assert Invoice.objects.filter(state=State.QUEUED).count() == 0  # nothing was done yet
    bulk.confirm(run, user_id=run.user_id, reason=WHY)
    worker = threading.Thread(target=lambda: (work_until(run, S.DONE), connections.close_all()))
    other = cast.queued(seller_at(provider))
    worker.start()
    issue_due(other.partition)
    other.refresh_from_db()
    assert other.state == State.ISSUED
    worker.join()
    done = run.counts()
    assert (done["acted"], done["declined"], done["failed"]) == (half, 0, 0)
    assert Invoice.objects.filter(order_id__startswith="dead-", failure="").count() == half
    acts = InvoiceAuditTracing.objects.filter(event_type="replayed", actor=run.actor)
    assert acts.count() == acts.values("invoice").distinct().count() == half
    assert {tracing.reason for tracing in acts} == {f"{WHY} (bulk {run.pk})"}


def test_a_worker_killed_between_two_items_causes_no_repetition(monkeypatch: Any) -> None:
    dead_letters(12)
    run = start_run(state=State.FAILED)
    monkeypatch.setattr(bulk_worker, "ITEMS_PER_STEP", 2)
    bulk_worker._perform_some(run)
    verb = bulk.VERBS["replay"]

    def die(*args: Any, **how: Any) -> str:
        verb.perform(*args, **how)
        raise KeyboardInterrupt

    monkeypatch.setitem(bulk.VERBS, "replay", replace(verb, perform=die))
    with pytest.raises(KeyboardInterrupt):
        bulk_worker._perform_some(run)
    monkeypatch.undo()
    assert run.counts()["acted"] == 2
    work_until(run, S.DONE)
    assert run.counts()["acted"] == 6
    assert InvoiceAuditTracing.objects.filter(event_type="replayed").count() == 6


def test_an_abort_keeps_what_is_done_and_starts_no_further_item(monkeypatch: Any) -> None:
    dead_letters(12)
    run = start_run(state=State.FAILED)
    monkeypatch.setattr(bulk_worker, "ITEMS_PER_STEP", 1)
    bulk_worker._perform_some(run)
    assert bulk.abort(run) and not bulk.abort(run)
    assert bulk_worker.advance_runs() == 0
    run.refresh_from_db()
    assert (run.state, run.counts()["acted"], Invoice.objects.filter(state=State.QUEUED).count()) == (S.ABORTED, 1, 1)


def test_the_selection_is_fixed_and_what_changed_since_the_preview_is_declined() -> None:
    dead_letters(8)
    run = start_run(state=State.FAILED)
    first = run.items.filter(would_act=True).order_by("pk")[0].invoice_id
    Invoice.objects.filter(pk=first).update(state=State.CANCELLED, failure="")
    late = cast.failed(failure="exhausted")
    work_until(run, S.DONE)
    assert (run.counts()["declined"], run.counts()["acted"]) == (1, 3)
    assert bulk.count_reasons(run.items.filter(outcome="declined")) == [
        ("The order is CANCELLED. There is nothing to replay.", 1)
    ]
    late.refresh_from_db()
    assert late.state == State.FAILED


def test_rare_reasons_are_counted_together(monkeypatch: Any) -> None:
    dead_letters(8)
    run = preview_run(state=State.FAILED)
    all_of_them = bulk.count_reasons(run.items.all())
    assert len(all_of_them) > 1
    monkeypatch.setattr(bulk, "MAX_REASONS", 1)
    first, rest = bulk.count_reasons(run.items.all())
    assert first == all_of_them[0] and rest == ("other reasons", 8 - first[1])


def test_an_invoice_that_raises_does_not_stop_the_others(monkeypatch: Any) -> None:
    dead_letters(8)
    run = start_run(state=State.FAILED)
    verb, broken = bulk.VERBS["replay"], run.items.filter(would_act=True)[0].invoice_id

    def breaks(invoice: Invoice, **how: Any) -> str:
        if invoice.pk == broken:
            raise ZeroDivisionError
        return verb.perform(invoice, **how)

    monkeypatch.setitem(bulk.VERBS, "replay", replace(verb, perform=breaks))
    work_until(run, S.DONE)
    assert (run.counts()["failed"], run.counts()["acted"]) == (1, 3)
    assert run.items.get(outcome="failed").reason == "ZeroDivisionError"


@pytest.mark.django_db(transaction=True)
def test_a_login_that_cannot_be_decrypted_declines_only_its_own_invoices(provider: Simulator) -> None:
    there, later, previewed = (cast.uncertain(merchant=seller_at(provider)) for _ in range(3))
    break_login(previewed)
    dead_letters(4)
    other = preview_run(state=State.FAILED)
    lookups = start_run("look_up", pk__in=[there.pk, later.pk, previewed.pk])
    break_login(later)  # after its dry run
    bulk.confirm(other, user_id=other.user_id, reason=WHY)
    work_until(lookups, S.DONE)
    work_until(other, S.DONE)
    why = "was encrypted with key x, which is not in the key ring."
    for invoice, would, outcome in ((previewed, False, ""), (later, True, "declined")):
        item = lookups.items.get(invoice=invoice)
        assert (item.would_act, item.outcome) == (would, outcome) and item.reason.endswith(why)
    assert (lookups.counts()["acted"], other.counts()["acted"]) == (1, 2)


def break_login(invoice: Invoice) -> None:
    ProviderAccount.objects.filter(pk=invoice.account_id).update(encrypted_credentials="v1.x.y")


def test_a_run_that_raises_is_reported_and_the_next_turn_is_another_runs() -> None:
    dead_letters(4)
    other = preview_run(state=State.FAILED)
    unreadable = cast.uncertain()
    broken = start_run("look_up", pk=unreadable.pk)
    account = ProviderAccount.objects.get(pk=unreadable.account_id)
    ProviderAccount.objects.filter(pk=account.pk).update(encrypted_credentials=crypto.encrypt("no JSON", account.aad))
    bulk.confirm(other, user_id=other.user_id, reason=WHY)
    for _ in range(2):
        with pytest.raises(ValueError, match="Expecting value"):
            work_until(other, S.DONE)
    assert (other.counts()["acted"], broken.counts()["acted"]) == (2, 0)


def test_a_worker_stops_at_shutdown(monkeypatch: Any) -> None:
    dead_letters(4)
    run = create_run(state=State.FAILED)
    monkeypatch.setattr(shutdown, "is_set", lambda: True)
    assert bulk_worker.advance_runs() == 0
    run.refresh_from_db()
    assert run.state == S.PREVIEWING


def test_a_run_with_too_many_invoices_is_refused(monkeypatch: Any) -> None:
    dead_letters(4)
    monkeypatch.setattr(bulk, "MAX_INVOICES", 3)
    with pytest.raises(bulk.TooMany, match="more than 3"):
        create_run(state=State.FAILED)
    assert not BulkRun.objects.exists() and not BulkItem.objects.exists()


def test_a_preview_needs_as_many_queries_for_few_items_as_for_many() -> None:
    dead_letters(40)

    def queries(count: int) -> int:
        run = create_run(pk__in=list(Invoice.objects.filter(state=State.FAILED).values_list("pk", flat=True)[:count]))
        with CaptureQueriesContext(connection) as seen:
            bulk_worker._preview_some(run)
        return len(seen)

    assert queries(4) == queries(40) <= 4


@pytest.mark.parametrize(("verb", "state"), [("issue_now", State.QUEUED), ("cancel", State.CANCELLED)])
def test_waiting_invoices_are_issued_or_cancelled_in_bulk(verb: str, state: State) -> None:
    waiting, failed = cast.waiting(), cast.sending()
    run = start_run(verb)
    work_until(run, S.DONE)
    assert Invoice.objects.get(pk=waiting.pk).state == state
    assert Invoice.objects.get(pk=failed.pk).state == State.SENDING
    assert run.counts()["acted"] == 1


@pytest.mark.django_db(transaction=True)
def test_many_invoices_are_looked_up_at_once_and_each_result_is_recorded(provider: Simulator) -> None:
    merchant = seller_at(provider)
    there, nowhere, never = cast.uncertain(merchant=merchant), cast.uncertain(merchant=merchant), cast.queued()
    issue_at_provider(there)
    run = start_run("look_up")
    assert bulk.count_reasons(run.items.filter(would_act=False)) == [
        ("The order was never sent. No provider can know it.", 1)
    ]
    work_until(run, S.DONE)
    assert Invoice.objects.get(pk=there.pk).state == State.ISSUED
    assert Invoice.objects.get(pk=nowhere.pk).state == State.UNCERTAIN
    for invoice in (there, nowhere):
        assert invoice.tracings.get(event_type="looked_up").reason.startswith(WHY)
    assert not never.tracings.filter(event_type="looked_up").exists()
    reasons = bulk.count_reasons(run.items.filter(outcome="acted"))  # without numbers, so equal ones count together
    assert sorted(reasons) == [("the provider does not know it", 1), ("the provider has it: ISSUED", 1)]
