"""The only writer of state: its rules, its records, and the refusals of the database."""

import copy
import json
import threading
from typing import Any

import pytest
from django.db import IntegrityError, connection, connections, transaction
from django.db.utils import InternalError, ProgrammingError
from django.test.utils import CaptureQueriesContext

from config.base import clock
from invoices.audit import Event, chain_hash
from invoices.lifecycle import MOVES, State, WrongState, may
from invoices.models import Invoice, InvoiceAuditTracing
from invoices.moving import Step, invoices_moved, move, move_one, open_invoices
from tests import cast

pytestmark = pytest.mark.django_db


def test_every_state_has_its_moves_and_may_stay_as_it_is() -> None:
    assert set(MOVES) == set(State)
    assert all(may(state, state) for state in State)


def test_a_batch_commits_what_may_move_and_refuses_the_rest_with_the_reason() -> None:
    good, bad = cast.queued(), cast.waiting()
    result = move([good.pk, bad.pk], cast.step_to(State.SENDING, Event.TAKEN, exposed_at=clock.now()), actor="worker")
    assert [invoice.pk for invoice, _ in result.moved] == [good.pk]
    assert [(invoice.pk, why) for invoice, why in result.refused] == [
        (bad.pk, f"Order {bad.order_id} is WAITING: it cannot become SENDING.")
    ]
    assert Invoice.objects.get(pk=bad.pk).state == State.WAITING


def test_one_row_that_may_not_move_raises() -> None:
    with pytest.raises(WrongState):
        cast.move_to(cast.waiting(), State.ISSUED, Event.ISSUED, actor="worker")


def test_an_exposed_invoice_cannot_move_to_an_unexposed_state() -> None:
    with pytest.raises(WrongState, match="may be known to a provider"):
        cast.move_to(cast.sending(), State.QUEUED, Event.RETRY_SCHEDULED, actor="worker")


def test_nothing_is_issued_without_a_number() -> None:
    with pytest.raises(WrongState, match="no number"):
        cast.move_to(cast.sending(), State.ISSUED, Event.ISSUED, actor="worker")


def test_a_move_of_any_size_costs_the_same_number_of_statements() -> None:
    def statements(count: int) -> int:
        ids = [cast.waiting().pk for _ in range(count)]
        with CaptureQueriesContext(connection) as captured:
            move(ids, cast.step_to(State.QUEUED, Event.CLAIM_WINDOW_CLOSED), actor="beat")
        return len(captured)

    assert statements(1) == statements(12) == 6  # savepoint, lock, update, audit, history, release


def test_opening_any_number_of_invoices_costs_the_same_number_of_statements() -> None:
    template = cast.waiting()

    def statements(count: int) -> int:
        new = [copy.copy(template) for _ in range(count)]
        for at, invoice in enumerate(new):
            invoice.order_id, invoice.claim_token = f"{count}-{at}", f"{count}-{at}"
            invoice.audit_seq, invoice.audit_hash = 0, ""
        with CaptureQueriesContext(connection) as captured:
            open_invoices([(invoice, "test") for invoice in new], actor="test", at=clock.now())
        assert all(invoice.tracings.get().content["after"]["state"] == State.WAITING for invoice in new)
        return len(captured)

    assert statements(1) == statements(12) == 5  # ids, insert, counter, audit, history


def test_each_move_leaves_an_audit_row_and_a_history_row_without_personal_data() -> None:
    invoice = cast.waiting()
    move_one(
        invoice, lambda _: Step(to=State.QUEUED, event=Event.CLAIMED, changes={"buyer": cast.COMPANY}), actor="buyer"
    )
    record = invoice.tracings.get(seq=2).content
    assert (record["eventType"], record["actor"], record["outcome"]) == ("claimed", "buyer", "ok")
    assert (record["before"]["state"], record["after"]["state"]) == ("WAITING", "QUEUED")
    assert record["after"]["buyer"].startswith("•")
    everything = json.dumps(list(invoice.tracings.values("record"))) + str(list(invoice.history.values()))
    assert "0100109106" not in everything and "Hoa Sen" not in everything
    assert [row.state for row in invoice.history.order_by("history_id")] == ["WAITING", "QUEUED"]


def test_the_audit_is_a_chain_and_the_invoice_holds_its_head() -> None:
    invoice = cast.issued()
    previous = ""
    for seq, row in enumerate(invoice.tracings.order_by("seq"), start=1):
        previous = chain_hash(previous, row.record)
        assert (row.seq, row.hash, row.content["seq"]) == (seq, previous, seq)
    invoice.refresh_from_db()
    assert (invoice.audit_hash, invoice.audit_seq) == (previous, seq)


@pytest.mark.parametrize(
    "verb", ["UPDATE invoices_invoiceaudittracing SET actor = 'nobody'", "DELETE FROM invoices_invoiceaudittracing"]
)
def test_the_database_refuses_to_rewrite_the_audit(verb: str) -> None:
    cast.waiting()
    refused = pytest.raises((InternalError, ProgrammingError), match="append-only")
    with refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(verb)
    assert InvoiceAuditTracing.objects.count() == 1


@pytest.mark.parametrize(
    ("builder", "change"),
    [
        (cast.sending, {"state": "QUEUED"}),  # exposed
        (cast.sending, {"state": "ISSUED"}),  # no number
        (cast.queued, {"failure": "refused"}),  # a failure without FAILED
    ],
)
def test_the_database_repeats_the_law(builder: Any, change: Any) -> None:
    invoice = builder()
    with pytest.raises(IntegrityError), transaction.atomic():
        Invoice.objects.filter(pk=invoice.pk).update(**change)


def test_an_order_has_one_document_of_a_number_for_ever_also_when_it_was_deleted() -> None:
    invoice = cast.waiting()
    invoice.delete()
    copy = Invoice.objects.get(pk=invoice.pk)
    copy.pk, copy.claim_token = None, "another"
    with pytest.raises(IntegrityError, match="one_document_a_number_for_ever"), transaction.atomic():
        copy.save(force_insert=True)


def test_a_legal_number_belongs_to_one_invoice() -> None:
    merchant = cast.seller()
    cast.issued(merchant, number="7")
    with pytest.raises(IntegrityError, match="one_invoice_a_legal_number"), transaction.atomic():
        cast.issued(merchant, number="7")


def test_receivers_of_invoices_moved_run_inside_the_transaction() -> None:
    invoice, received = cast.waiting(), []

    def receive(moved: Any, **_: Any) -> None:
        received.extend((row.pk, source, row.state, connection.in_atomic_block) for row, source in moved)

    invoices_moved.connect(receive)
    try:
        cast.move_to(invoice, State.QUEUED, Event.CLAIM_WINDOW_CLOSED, actor="beat")
    finally:
        invoices_moved.disconnect(receive)
    assert received == [(invoice.pk, State.WAITING, State.QUEUED, True)]


@pytest.mark.django_db(transaction=True)
def test_twenty_moves_at_once_write_one_chain_without_gaps() -> None:
    invoice = cast.queued()
    barrier = threading.Barrier(20)

    def note() -> None:
        barrier.wait()
        cast.move_to(invoice, State.QUEUED, Event.FACT_NOTED, actor="test", lookups=threading.get_ident() % 30000)
        connections.close_all()

    threads = [threading.Thread(target=note) for _ in range(20)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert list(invoice.tracings.order_by("seq").values_list("seq", flat=True)) == list(range(1, 23))


def test_an_unchanged_row_is_returned_as_its_lock_found_it() -> None:
    """A request is too late if a take came first, whatever the caller read before."""
    stale = cast.queued()
    Invoice.objects.filter(pk=stale.pk).update(document="{}", document_sha256="44136f")
    assert not stale.was_taken
    assert move_one(stale, lambda row: None, actor="test").was_taken
