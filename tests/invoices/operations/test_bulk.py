"""Bulk runs: the run does what its dry run counted, once, whatever happens to its worker, and nothing waits for it."""

import os
import threading
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from config.base import crypto
from config.processes.shutdown import shutdown
from invoices.dev.simulator import Simulator
from invoices.issuing.pump import issue_due
from invoices.lifecycle import State
from invoices.models import BulkItem, BulkRun, Invoice, InvoiceAuditTracing
from invoices.operations import bulk, bulk_verbs, bulk_worker
from merchants.models import ProviderAccount
from tests import cast
from tests.invoices.admin.action_rows import dead_letters, member_of
from tests.invoices.provider_records import issue_at_provider, seller_at

pytestmark = pytest.mark.django_db
MANY = int(os.environ.get("BULK_LETTERS", "200"))  # 5,000 on request: as many as a bad night leaves
LIST = "/admin/invoices/invoice/"
WHY = "the provider is back"
S = BulkRun.State


def created(verb: str = "replay", **of: Any) -> BulkRun:
    user, _ = User.objects.get_or_create(username="thu")
    return bulk.create_run(verb, Invoice.objects.filter(**of), user_id=user.pk, selection="state=FAILED")


def previewed(verb: str = "replay", **of: Any) -> BulkRun:
    run = created(verb, **of)
    until(run, S.READY)
    return run


def started(verb: str = "replay", **of: Any) -> BulkRun:
    run = previewed(verb, **of)
    assert bulk.confirm(run, user_id=run.user_id, reason=WHY)
    return run


def until(run: BulkRun, state: str) -> None:
    for _ in range(1000):
        bulk_worker.advance_runs()
        run.refresh_from_db()
        if run.state == state:
            return
    raise AssertionError(f"it is {run.state}")


@pytest.mark.django_db(transaction=True)
def test_dead_letters_are_replayed_as_the_dry_run_said_while_an_ordinary_invoice_is_issued(provider: Simulator) -> None:
    dead_letters(MANY)
    run = previewed(state=State.FAILED)
    preview = run.counts()
    half = MANY // 2
    assert (preview["total"], preview["would_act"], preview["acted"]) == (MANY, half, 0)
    assert bulk.count_reasons(run.items.filter(would_act=False)) == [
        ("A send of the order was uncertain. It may change after the final look-up.", MANY // 4),
        ("The order was partly refunded. Amend its lines first.", MANY // 4),
    ]
    assert Invoice.objects.filter(state=State.QUEUED).count() == 0  # nothing was done yet
    bulk.confirm(run, user_id=run.user_id, reason=WHY)
    worker = threading.Thread(target=lambda: (until(run, S.DONE), connections.close_all()))
    ordinary = cast.queued(seller_at(provider))
    worker.start()
    issue_due(ordinary.partition)
    ordinary.refresh_from_db()
    assert ordinary.state == State.ISSUED
    worker.join()
    done = run.counts()
    assert (done["acted"], done["declined"], done["failed"]) == (half, 0, 0)
    assert Invoice.objects.filter(order_id__startswith="dead-", failure="").count() == half
    acts = InvoiceAuditTracing.objects.filter(event_type="replayed", actor=run.actor)
    assert acts.count() == acts.values("invoice").distinct().count() == half
    assert {tracing.reason for tracing in acts} == {f"{WHY} (bulk {run.pk})"}


def test_a_worker_that_is_killed_between_two_items_leaves_nothing_done_twice(monkeypatch: Any) -> None:
    dead_letters(12)
    run = started(state=State.FAILED)
    monkeypatch.setattr(bulk_worker, "ITEMS_PER_STEP", 2)
    bulk_worker._perform_some(run)
    verb = bulk_verbs.VERBS["replay"]

    def die(*args: Any, **how: Any) -> str:
        verb.perform(*args, **how)
        raise KeyboardInterrupt

    monkeypatch.setitem(bulk_verbs.VERBS, "replay", replace(verb, perform=die))
    with pytest.raises(KeyboardInterrupt):
        bulk_worker._perform_some(run)
    monkeypatch.undo()
    assert run.counts()["acted"] == 2
    until(run, S.DONE)
    assert run.counts()["acted"] == 6
    assert InvoiceAuditTracing.objects.filter(event_type="replayed").count() == 6


def test_an_abort_keeps_what_is_done_and_begins_nothing_more(monkeypatch: Any) -> None:
    dead_letters(12)
    run = started(state=State.FAILED)
    monkeypatch.setattr(bulk_worker, "ITEMS_PER_STEP", 1)
    bulk_worker._perform_some(run)
    assert bulk.abort(run) and not bulk.abort(run)
    assert bulk_worker.advance_runs() == 0
    run.refresh_from_db()
    assert (run.state, run.counts()["acted"], Invoice.objects.filter(state=State.QUEUED).count()) == (S.ABORTED, 1, 1)


def test_what_is_chosen_stays_chosen_and_what_changed_since_the_dry_run_is_declined() -> None:
    dead_letters(8)
    run = started(state=State.FAILED)
    first = run.items.filter(would_act=True).order_by("pk")[0].invoice_id
    Invoice.objects.filter(pk=first).update(state=State.CANCELLED, failure="")
    late = cast.failed(failure="exhausted")
    until(run, S.DONE)
    assert (run.counts()["declined"], run.counts()["acted"]) == (1, 3)
    assert bulk.count_reasons(run.items.filter(outcome="declined")) == [
        ("The order is CANCELLED. There is nothing to replay.", 1)
    ]
    late.refresh_from_db()
    assert late.state == State.FAILED


def test_reasons_that_nobody_reads_are_told_in_one(monkeypatch: Any) -> None:
    dead_letters(8)
    run = previewed(state=State.FAILED)
    all_of_them = bulk.count_reasons(run.items.all())
    assert len(all_of_them) > 1
    monkeypatch.setattr(bulk, "MAX_REASONS", 1)
    first, rest = bulk.count_reasons(run.items.all())
    assert first == all_of_them[0] and rest == ("other reasons", 8 - first[1])


def test_one_invoice_that_breaks_stops_no_other(monkeypatch: Any) -> None:
    dead_letters(8)
    run = started(state=State.FAILED)
    verb, broken = bulk_verbs.VERBS["replay"], run.items.filter(would_act=True)[0].invoice_id

    def breaks(invoice: Invoice, **how: Any) -> str:
        if invoice.pk == broken:
            raise ZeroDivisionError
        return verb.perform(invoice, **how)

    monkeypatch.setitem(bulk_verbs.VERBS, "replay", replace(verb, perform=breaks))
    until(run, S.DONE)
    assert (run.counts()["failed"], run.counts()["acted"]) == (1, 3)
    assert run.items.get(outcome="failed").why == "ZeroDivisionError"


@pytest.mark.django_db(transaction=True)
def test_a_login_that_does_not_open_declines_its_own_invoices_and_stops_no_run(provider: Simulator) -> None:
    there, later, foreseen = (cast.uncertain(merchant=seller_at(provider)) for _ in range(3))
    lose_login(foreseen)
    dead_letters(4)
    other = previewed(state=State.FAILED)
    asking = started("look_up", pk__in=[there.pk, later.pk, foreseen.pk])
    lose_login(later)  # after its dry run
    bulk.confirm(other, user_id=other.user_id, reason=WHY)
    until(asking, S.DONE)
    until(other, S.DONE)
    why = "was sealed with key x, which is not in the key ring."
    for invoice, would, outcome in ((foreseen, False, ""), (later, True, "declined")):
        item = asking.items.get(invoice=invoice)
        assert (item.would_act, item.outcome) == (would, outcome) and item.why.endswith(why)
    assert (asking.counts()["acted"], other.counts()["acted"]) == (1, 2)


def lose_login(invoice: Invoice) -> None:
    ProviderAccount.objects.filter(pk=invoice.account_id).update(encrypted_credentials="v1.x.y")


def test_a_run_that_breaks_is_heard_of_and_the_next_turn_is_anothers() -> None:
    dead_letters(4)
    other = previewed(state=State.FAILED)
    unreadable = cast.uncertain()
    broken = started("look_up", pk=unreadable.pk)
    account = ProviderAccount.objects.get(pk=unreadable.account_id)
    ProviderAccount.objects.filter(pk=account.pk).update(encrypted_credentials=crypto.encrypt("no JSON", account.aad))
    bulk.confirm(other, user_id=other.user_id, reason=WHY)
    for _ in range(2):
        with pytest.raises(ValueError, match="Expecting value"):
            until(other, S.DONE)
    assert (other.counts()["acted"], broken.counts()["acted"]) == (2, 0)


def test_a_worker_that_is_told_to_stop_stops(monkeypatch: Any) -> None:
    dead_letters(4)
    run = created(state=State.FAILED)
    monkeypatch.setattr(shutdown, "is_set", lambda: True)
    assert bulk_worker.advance_runs() == 0
    run.refresh_from_db()
    assert run.state == S.PREVIEWING


def test_a_run_is_no_larger_than_it_may_be(monkeypatch: Any) -> None:
    dead_letters(4)
    monkeypatch.setattr(bulk, "MAX_INVOICES", 3)
    with pytest.raises(bulk.TooMany, match="more than 3"):
        created(state=State.FAILED)
    assert not BulkRun.objects.exists() and not BulkItem.objects.exists()


def test_a_dry_run_asks_as_often_for_few_as_for_many() -> None:
    dead_letters(40)

    def queries(count: int) -> int:
        run = created(pk__in=list(Invoice.objects.filter(state=State.FAILED).values_list("pk", flat=True)[:count]))
        with CaptureQueriesContext(connection) as seen:
            bulk_worker._preview_some(run)
        return len(seen)

    assert queries(4) == queries(40) <= 4


@pytest.mark.parametrize(("verb", "state"), [("issue_now", State.QUEUED), ("cancel", State.CANCELLED)])
def test_what_waits_is_issued_or_cancelled_in_bulk(verb: str, state: State) -> None:
    waiting, failed = cast.waiting(), cast.sending()
    run = started(verb)
    until(run, S.DONE)
    assert Invoice.objects.get(pk=waiting.pk).state == state
    assert Invoice.objects.get(pk=failed.pk).state == State.SENDING
    assert run.counts()["acted"] == 1


@pytest.mark.django_db(transaction=True)
def test_the_provider_is_asked_about_many_at_once_and_each_answer_counts(provider: Simulator) -> None:
    merchant = seller_at(provider)
    there, nowhere, never = cast.uncertain(merchant=merchant), cast.uncertain(merchant=merchant), cast.queued()
    issue_at_provider(there)
    run = started("look_up")
    assert bulk.count_reasons(run.items.filter(would_act=False)) == [
        ("The order was never sent. No provider can know it.", 1)
    ]
    until(run, S.DONE)
    assert Invoice.objects.get(pk=there.pk).state == State.ISSUED
    assert Invoice.objects.get(pk=nowhere.pk).state == State.UNCERTAIN
    for invoice in (there, nowhere):
        assert invoice.tracings.get(event_type="looked_up").reason.startswith(WHY)
    assert not never.tracings.filter(event_type="looked_up").exists()
    told = bulk.count_reasons(run.items.filter(outcome="acted"))  # without numbers, or each would be a line of its own
    assert sorted(told) == [("the provider does not know it", 1), ("the provider has it: ISSUED", 1)]


# --- in the console ---------------------------------------------------------------------------------------------------


@pytest.fixture
def operator(client: Any) -> Any:
    call_command("loaddata", "permissions", verbosity=0)
    client.force_login(member_of("operator"))
    return client


def press(client: Any, verb: str, rows: list[Invoice], across: bool = False, query: str = "") -> Any:
    form = {"action": f"bulk_{verb}", "_selected_action": [row.pk for row in rows], "select_across": int(across)}
    return client.post(LIST + query, form)


def test_all_that_the_filters_leave_are_chosen_not_only_the_page(operator: Any) -> None:
    dead_letters(60)
    page = list(Invoice.objects.filter(state=State.FAILED)[:50])
    answer = press(operator, "replay", page, across=True, query="?state__exact=FAILED")
    run = BulkRun.objects.get()
    assert answer["Location"] == f"/admin/invoices/bulkrun/{run.pk}/change/"
    assert (run.items.count(), run.selection, run.user.username) == (60, "state__exact=FAILED", "operator")
    press(operator, "replay", page[:3])
    assert BulkRun.objects.order_by("-pk")[0].items.count() == 3


def test_the_page_shows_the_dry_run_takes_a_reason_and_tells_what_happened(operator: Any) -> None:
    dead_letters(8)
    url = press(operator, "replay", list(Invoice.objects.filter(state=State.FAILED)[:1]), True, "?state__exact=FAILED")[
        "Location"
    ]
    run = BulkRun.objects.get()
    assert 'http-equiv="refresh"' in operator.get(url).text and "Dry run: nothing is done yet" in operator.get(url).text
    until(run, S.READY)
    shown = operator.get(url).text
    assert 'value="Replay 4"' in shown and "partly refunded" in shown and 'http-equiv="refresh"' not in shown
    confirm = url.replace("change", "confirm")
    operator.post(confirm, {"reason": " "})
    run.refresh_from_db()
    assert run.state == S.READY
    operator.post(confirm, {"reason": WHY})
    assert "Stop here" in operator.get(url).text
    until(run, S.DONE)
    shown = operator.get(url).text
    assert "Acted" in shown and WHY in shown and "Stop here" not in shown
    log = LogEntry.objects.filter(object_id=str(run.pk)).order_by("id").values_list("change_message", flat=True)
    assert [line.partition(":")[0] for line in log] == ["Chosen", "Confirmed"] and WHY in log[1]
    assert WHY in operator.get(reverse("admin:invoices_bulkrun_history", args=[run.pk])).text


@pytest.mark.parametrize(
    ("group", "verbs"),
    [("support", {"look_up"}), ("operator", set(bulk_verbs.VERBS)), ("finance", set()), ("security", None)],
)
def test_each_group_has_its_verbs_and_the_others_are_refused(client: Any, group: str, verbs: set[str] | None) -> None:
    call_command("loaddata", "permissions", verbosity=0)
    invoice = cast.waiting()
    run = created("replay")
    client.force_login(member_of(group))
    shown = client.get(LIST)
    assert (shown.status_code == 200) == (verbs is not None)
    if verbs is not None:
        assert {name for name in bulk_verbs.VERBS if f'value="bulk_{name}"' in shown.text} == verbs
        for name in set(bulk_verbs.VERBS) - verbs:
            press(client, name, [invoice])
    assert BulkRun.objects.count() == 1
    for step in ("confirm", "abort"):
        answer = client.post(f"/admin/invoices/bulkrun/{run.pk}/{step}/", {"reason": WHY})
        assert answer.status_code == (302 if group == "operator" else 403)
