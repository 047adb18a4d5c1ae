"""Answers that come late, or belong to another attempt than the current one: none is lost, none does harm."""

from datetime import timedelta
from typing import Any

import pytest

from config.base import clock
from invoices.issuing.record import record
from invoices.lifecycle import State
from invoices.models import Invoice
from invoices.operations.skip import skip
from invoices.providers.base import Found, Issued, Submitted, Unavailable, Uncertain
from invoices.upkeep.sweep import mark_abandoned
from tests import cast
from tests.invoices.issuing.attempts import (
    FAILURES,
    NOT_FOUND,
    REFUSED,
    after,
    attempt,
    finish,
    in_doubt,
    issued,
    look_up,
    proven_absent,
    send,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("stopped_clock")]
FOUND = Found(number="7", symbol="C26TAA", code="00A7")


@pytest.mark.parametrize("answer", [issued(), Submitted(number="7", symbol="C26TAA")])
def test_a_number_that_comes_when_the_invoice_is_queued_again_puts_it_in_doubt_and_is_found(answer: Any) -> None:
    call, _ = proven_absent()
    invoice = after(call, answer)
    assert (invoice.state, invoice.exposed_by, invoice.exposed_at) == (
        State.UNCERTAIN,
        call.issuance_id,
        attempt(call).taken_at,
    )
    assert (attempt(call).number, invoice.number) == ("7", "")
    for hours in (1, 2, 3):  # what the provider has reported as issued is never absent
        invoice = look_up(call, NOT_FOUND, begun=clock.now() + timedelta(hours=hours))
        assert (invoice.state, invoice.exposed) == (State.UNCERTAIN, True)
    found = Found(number="7", symbol="C26TAA", code="00A7")
    assert look_up(call, found, begun=clock.now() + timedelta(hours=4)).state == State.ISSUED


@pytest.mark.parametrize("answer", FAILURES, ids=lambda answer: answer.code)
def test_a_failure_of_an_older_attempt_closes_that_attempt_and_clears_nothing_of_the_current_one(answer: Any) -> None:
    older, when = proven_absent()
    with clock.frozen(when):
        current = send(Invoice.objects.get())
        before = Invoice.objects.get()
        invoice = after(older, answer)
    assert (invoice.state, invoice.exposed_by, invoice.attempts, invoice.not_before) == (
        State.SENDING,
        current.issuance_id,
        before.attempts,
        before.not_before,
    )
    assert (attempt(older).code, attempt(current).outcome) == (answer.code, "open")


def test_look_ups_of_an_older_attempt_do_not_count_as_absence_of_the_current_one() -> None:
    older, when = proven_absent()
    with clock.frozen(when):
        current = send(Invoice.objects.get())
        after(current, Uncertain("timeout"))
    for hours in (1, 2, 3):
        invoice = look_up(older, NOT_FOUND, begun=when + timedelta(hours=hours))
        assert (invoice.state, invoice.exposed_by) == (State.UNCERTAIN, current.issuance_id)
    assert (attempt(older).not_founds, attempt(current).not_founds) == (5, 0)


@pytest.mark.parametrize("answer", [*FAILURES, issued()], ids=lambda answer: getattr(answer, "code", ""))
def test_no_answer_opens_a_skipped_invoice_again(answer: Any) -> None:
    call = in_doubt()
    skip(Invoice.objects.get(), actor="user:7", reason="it holds up the account")
    invoice = after(call, answer)
    failure = "conflict" if isinstance(answer, Issued) else "skipped"
    assert (invoice.state, invoice.failure, invoice.exposed) == (State.FAILED, failure, True)


@pytest.mark.parametrize("answer", [*FAILURES, issued()], ids=lambda answer: getattr(answer, "code", ""))
def test_no_failure_and_no_repetition_changes_an_issued_invoice(answer: Any) -> None:
    older, when = proven_absent()
    with clock.frozen(when):
        current = send(Invoice.objects.get())
        before = after(current, issued())
        for call in (older, current):
            invoice = after(call, answer)
            assert (invoice.state, invoice.number, invoice.failure) == (State.ISSUED, "7", ""), call.attempt
    assert invoice.audit_seq == before.audit_seq


@pytest.mark.parametrize(
    ("number", "symbol", "late"),
    [
        ("8", "C26TAA", False),
        ("8", "C26TAA", True),
        ("7", "C26TBB", True),
        ("7", "C26TBB", False),
    ],
)
def test_two_attempts_with_two_legal_numbers_are_a_conflict_and_both_are_kept(
    number: str, symbol: str, late: bool
) -> None:
    """The older attempt is answered last, or first while the current one is being sent."""
    older, when = proven_absent()
    with clock.frozen(when):
        current = send(Invoice.objects.get())
        first_call, second_call = (current, older) if late else (older, current)
        invoice = after(first_call, issued())
        assert invoice.state == (State.ISSUED if late else State.SENDING)
        invoice = after(second_call, issued(number, symbol))
    assert (invoice.state, invoice.failure, invoice.exposed) == (State.FAILED, "conflict", True)
    numbers = [(attempt(call).symbol, attempt(call).number) for call in (first_call, second_call)]
    assert numbers == [("C26TAA", "7"), (symbol, number)]


@pytest.mark.parametrize("answer", FAILURES, ids=lambda answer: answer.code)
def test_a_failure_after_an_older_attempt_was_issued_is_looked_up_and_not_sent_again(answer: Any) -> None:
    older, when = proven_absent()
    with clock.frozen(when):
        current = send(Invoice.objects.get())
        after(older, issued())
        invoice = after(current, answer)
    assert (invoice.state, invoice.exposed_by, invoice.not_before) == (State.UNCERTAIN, older.issuance_id, when)


def test_an_invoice_that_a_look_up_finds_is_not_sent() -> None:
    call = send(cast.queued())
    assert after(call, Unavailable("refused")).state == State.QUEUED  # the provider was wrong about that
    assert look_up(call, FOUND, begun=clock.now() + timedelta(seconds=1)).state != State.QUEUED


FORGOTTEN = pytest.mark.xfail(strict=True, reason="the attempt does not keep the number that a look-up found")


@FORGOTTEN
def test_an_invoice_that_a_look_up_finds_while_it_is_being_sent_again_is_not_sent_once_more() -> None:
    older, when = proven_absent()
    with clock.frozen(when):
        current = send(Invoice.objects.get())
        assert look_up(older, FOUND, begun=when).state == State.SENDING
        invoice = after(current, Unavailable("timeout"))
    assert (invoice.state, invoice.exposed) == (State.UNCERTAIN, True)


@FORGOTTEN
def test_what_a_look_up_has_found_is_never_absent() -> None:
    call, when = proven_absent()
    assert look_up(call, FOUND, begun=when).state == State.UNCERTAIN
    for hours in (1, 2, 3):
        invoice = look_up(call, NOT_FOUND, begun=when + timedelta(hours=hours))
        assert (invoice.state, invoice.exposed) == (State.UNCERTAIN, True)


@pytest.mark.xfail(strict=True, reason="only the attempt that is looked up is checked for a number")
def test_not_founds_of_a_later_attempt_do_not_hide_that_an_earlier_one_was_issued() -> None:
    older, when = proven_absent()
    with clock.frozen(when):
        current = send(Invoice.objects.get())
        after(older, issued())
    with clock.frozen(when + timedelta(minutes=10)):
        mark_abandoned()
    for hours in (1, 2, 3):
        invoice = look_up(current, NOT_FOUND, begun=when + timedelta(hours=hours))
        assert (invoice.state, invoice.exposed) == (State.UNCERTAIN, True)


def test_several_answers_for_one_invoice_are_recorded_one_after_the_other() -> None:
    older, when = proven_absent()
    with clock.frozen(when):
        current = send(Invoice.objects.get())
        record([finish(older, REFUSED), finish(current, issued()), finish(older, issued("8"))])
    invoice = Invoice.objects.get()
    assert (invoice.state, invoice.failure, invoice.number) == (State.FAILED, "conflict", "7")
    assert (attempt(older).number, attempt(current).number) == ("8", "7")
