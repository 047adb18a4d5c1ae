"""Faults that the simulation found, as plain tests."""

from datetime import timedelta
from typing import Any

import pytest

from config.base import clock
from invoices.audit import Event
from invoices.issuing.calls import Call, FinishedCall
from invoices.issuing.decide.steps import FINAL_LOOKUP_AFTER
from invoices.issuing.lookups import build_lookups
from invoices.issuing.record import record
from invoices.issuing.take import take
from invoices.lifecycle import State
from invoices.models import Invoice, InvoiceIssuance
from invoices.operations.skip import skip
from invoices.providers.base import Found, Issued, Refused, Scope, Uncertain
from tests import cast

pytestmark = pytest.mark.django_db(transaction=True)
CODE = "00474597512BE94B7BAB367996EF464828"
BUYER_REFUSED = Refused("TAX_CODE_INVALID", scope=Scope.ORDER, field="buyer.tax_code")


def send(invoice: Invoice) -> Call:
    """Take the invoice as a worker does. Returns its call."""
    (call,) = take(invoice.partition, 1)
    return call


def finished(call: Call, answer: Any) -> FinishedCall:
    return FinishedCall(call, answer, clock.now())


def issued(number: str = "7") -> Issued:
    return Issued(number=number, symbol="C26TAA", code=CODE)


def send_twice() -> tuple[Invoice, Call, Call]:
    """An invoice whose first send was recorded as abandoned and proven absent, and that was sent again."""
    invoice = cast.queued()
    first = send(invoice)
    unexposed = {"exposed_at": None, "exposed_by": None, "not_before": clock.now()}
    cast.move_to(invoice, State.UNCERTAIN, Event.ABANDONED, actor="sweep", first_uncertain_at=clock.now())
    cast.move_to(invoice, State.QUEUED, Event.PROVEN_ABSENT, actor="worker", **unexposed)
    return invoice, first, send(invoice)


def test_two_answers_for_one_invoice_in_one_group_are_both_stored() -> None:
    invoice, first, second = send_twice()
    record([finished(first, issued()), finished(second, Uncertain("TRANSACTION_UUID_INVALID", look_up_now=True))])
    outcomes = InvoiceIssuance.objects.filter(invoice=invoice).order_by("id").values_list("outcome", "number")
    assert list(outcomes) == [("issued", "7"), ("uncertain", "")]
    invoice.refresh_from_db()
    assert invoice.state == State.UNCERTAIN


def test_a_refused_second_send_does_not_hide_that_the_first_was_issued() -> None:
    invoice, first, second = send_twice()
    record([finished(first, issued())])
    record([finished(second, BUYER_REFUSED)])
    invoice.refresh_from_db()
    assert (invoice.state, invoice.exposed_by) == (State.UNCERTAIN, first.issuance_id)


def test_an_attempt_with_a_number_is_never_proven_absent() -> None:
    invoice, first, second = send_twice()
    record([finished(first, issued()), finished(second, BUYER_REFUSED)])
    InvoiceIssuance.objects.filter(pk=first.issuance_id).update(not_founds=2, not_found_at=clock.now())
    with clock.frozen(clock.now() + timedelta(hours=1)):
        record([finished(build_lookups([first.issuance_id], clock.now())[0], None)])
    invoice.refresh_from_db()
    assert invoice.state == State.UNCERTAIN


def test_a_look_up_from_before_a_skip_is_no_final_look_up_and_a_late_find_is_a_conflict() -> None:
    invoice = cast.queued()
    call = send(invoice)
    record([finished(call, Uncertain("timeout"))])
    (lookup,) = build_lookups([call.issuance_id], clock.now())
    skip(Invoice.objects.get(pk=invoice.pk), actor="user:7", reason="stuck")
    record([finished(lookup, None)])
    invoice.refresh_from_db()
    assert invoice.final_lookup_at is not None
    with clock.frozen(clock.now() + FINAL_LOOKUP_AFTER + timedelta(minutes=1)):
        (final_lookup,) = build_lookups([call.issuance_id], clock.now())
        record([finished(final_lookup, Found(number="7", symbol="C26TAA", code=CODE))])
    invoice.refresh_from_db()
    assert (invoice.failure, invoice.exposed, invoice.final_lookup_at) == ("conflict", True, None)
