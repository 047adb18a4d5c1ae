"""Answers that contradict our rows or cannot be written: numbers of another invoice, unwritable texts."""

import logging
from datetime import timedelta

import pytest

from config.base import clock
from invoices.issuing.calls import Call
from invoices.issuing.record import record
from invoices.lifecycle import State
from invoices.models import Invoice
from invoices.providers.base import Found
from merchants.models import Merchant
from tests import cast
from tests.invoices.issuing.attempts import SETTLE, attempt, finish, in_doubt, issued, look_up, send

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("stopped_clock")]


def due(count: int, merchant: Merchant) -> list[Call]:
    return [send(cast.queued(merchant)) for _ in range(count)]


def states(calls: list[Call]) -> list[tuple[str, str, str]]:
    rows = Invoice.objects.in_bulk([call.invoice_id for call in calls])
    return [(rows[c.invoice_id].state, rows[c.invoice_id].failure, rows[c.invoice_id].number) for c in calls]


def test_a_number_of_another_invoice_of_ours_is_a_conflict_and_harms_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    merchant = cast.seller()
    owner = cast.issued(merchant, number="7")
    good, clash, fine = due(3, merchant)
    with caplog.at_level(logging.CRITICAL):
        record([finish(good, issued("1")), finish(clash, issued("7")), finish(fine, issued("2"))])
    assert states([good, clash, fine]) == [("ISSUED", "", "1"), ("FAILED", "conflict", ""), ("ISSUED", "", "2")]
    assert caplog.text.count("[conflict]") == 1
    invoice = Invoice.objects.get(pk=clash.invoice_id)
    assert "belongs to another invoice of ours" in invoice.failure_message
    assert invoice.exposed_by == clash.issuance_id  # no replay may send it again
    assert (attempt(clash).number, attempt(clash).outcome) == ("7", "issued")
    owner.refresh_from_db()
    assert (owner.state, owner.number) == (State.ISSUED, "7")


def test_one_number_for_two_invoices_in_one_group_goes_to_one_and_is_a_conflict_of_the_other() -> None:
    calls = due(2, cast.seller())
    record([finish(call, issued("7")) for call in calls])
    assert sorted(states(calls)) == [("FAILED", "conflict", ""), ("ISSUED", "", "7")]
    assert [attempt(call).number for call in calls] == ["7", "7"]


def test_a_look_up_that_finds_the_number_of_another_invoice_is_a_conflict() -> None:
    merchant = cast.seller()
    cast.issued(merchant, number="7")
    call = in_doubt(merchant)
    invoice = look_up(call, Found(number="7", symbol="C26TAA", code="00A7"), begun=clock.now() + timedelta(hours=1))
    assert (invoice.state, invoice.failure, invoice.exposed_by) == (State.FAILED, "conflict", call.issuance_id)


def test_the_same_number_of_another_seller_or_symbol_is_no_conflict() -> None:
    cast.issued(cast.seller(), number="7")
    merchant = cast.seller()
    calls = due(2, merchant)
    record([finish(calls[0], issued("7")), finish(calls[1], issued("7", "C26TBB"))])
    assert states(calls) == [("ISSUED", "", "7")] * 2


UNWRITABLE = {
    "a surrogate": {"code": "\ud83d"},
    "a NUL": {"lookup_code": "a\0b"},
    "a number of nine digits": {"number": "123456789"},
    "a symbol of seven characters": {"symbol": "C26TAAA"},
}


@pytest.mark.parametrize("kind", UNWRITABLE)
def test_an_unwritable_answer_among_good_ones_is_in_doubt_and_the_good_ones_are_recorded(kind: str) -> None:
    good, bad, fine = due(3, cast.seller())
    record([finish(good, issued("1")), finish(bad, issued(**UNWRITABLE[kind])), finish(fine, issued("2"))])
    assert states([good, bad, fine]) == [("ISSUED", "", "1"), ("UNCERTAIN", "", ""), ("ISSUED", "", "2")]
    assert (attempt(bad).outcome, attempt(bad).code, attempt(bad).response) == ("uncertain", "unwritable", None)
    assert Invoice.objects.get(pk=bad.invoice_id).exposed_by == bad.issuance_id


@pytest.mark.parametrize("too_long", [{"code": "0" * 35}, {"lookup_code": "0" * 51}, {"number": "123456789"}], ids=str)
def test_what_does_not_fit_into_its_column_is_never_cut(too_long: dict[str, str]) -> None:
    call = in_doubt()
    found = Found(**{"number": "7", "symbol": "C26TAA", "code": "00A7", **too_long})
    invoice = look_up(call, found, begun=clock.now() + timedelta(hours=1))
    assert invoice.state == State.UNCERTAIN


def test_an_unwritable_look_up_proves_nothing() -> None:
    call = in_doubt()
    begun = attempt(call).last_byte_by + SETTLE
    invoice = look_up(call, Found(number="7", symbol="C26TAA", code="\ud83d"), begun=begun)
    assert (invoice.state, invoice.number, invoice.exposed) == (State.UNCERTAIN, "", True)
    assert (attempt(call).not_founds, attempt(call).lookups) == (0, 1)
