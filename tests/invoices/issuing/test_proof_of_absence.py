"""The proof that a send never happened: two look-ups of the very attempt, each after a settle time."""

from datetime import timedelta
from typing import Any

import pytest

from config.base import clock
from invoices.lifecycle import State
from invoices.models import Invoice
from invoices.providers.base import Unavailable, Uncertain
from tests import cast
from tests.invoices.issuing.attempts import (
    NO_NUMBERS,
    NOT_FOUND,
    SETTLE,
    after,
    attempt,
    in_doubt,
    look_up,
    proven_absent,
    send,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("stopped_clock")]
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(("early", "proofs"), [(SECOND / 1000, 0), (timedelta(0), 1)])
def test_not_found_proves_something_from_a_settle_time_after_the_last_byte_on(early: timedelta, proofs: int) -> None:
    call = in_doubt()
    begun = attempt(call).last_byte_by + SETTLE - early
    look_up(call, NOT_FOUND, begun=begun, ended=begun + timedelta(hours=1))  # when it ended does not matter
    assert attempt(call).not_founds == proofs


@pytest.mark.parametrize(("early", "proofs"), [(SECOND / 1000, 1), (timedelta(0), 2)])
def test_the_second_proof_begins_a_settle_time_after_the_first_ended(early: timedelta, proofs: int) -> None:
    call = in_doubt()
    begun = attempt(call).last_byte_by + SETTLE
    ended = begun + timedelta(seconds=80)
    look_up(call, NOT_FOUND, begun=begun, ended=ended)
    assert attempt(call).not_found_at == ended
    invoice = look_up(call, NOT_FOUND, begun=ended + SETTLE - early)
    assert (attempt(call).not_founds, invoice.state) == (proofs, State.QUEUED if proofs == 2 else State.UNCERTAIN)


@pytest.mark.parametrize("error", [Unavailable("timeout"), Uncertain("bad_body"), NO_NUMBERS], ids=lambda e: e.code)
def test_a_look_up_that_fails_proves_nothing_and_takes_nothing_back(error: Any) -> None:
    call = in_doubt()
    begun = attempt(call).last_byte_by + SETTLE
    for hours in range(4):
        assert look_up(call, error, begun=begun + timedelta(hours=hours)).state == State.UNCERTAIN
    assert (attempt(call).not_founds, attempt(call).not_found_at, attempt(call).lookups) == (0, None, 4)
    look_up(call, NOT_FOUND, begun=begun + timedelta(hours=5))
    look_up(call, error, begun=begun + timedelta(hours=6))
    assert attempt(call).not_founds == 1
    assert look_up(call, NOT_FOUND, begun=begun + timedelta(hours=7)).state == State.QUEUED


def test_after_an_answer_no_byte_is_on_its_way_and_the_settle_time_runs_from_there() -> None:
    call = send(cast.queued())
    answered = clock.now() + 3 * SECOND
    with clock.frozen(answered):
        after(call, Uncertain("http_500"))
    assert attempt(call).last_byte_by == answered
    look_up(call, NOT_FOUND, begun=answered + SETTLE)
    assert attempt(call).not_founds == 1


def test_an_answer_that_comes_after_the_last_possible_byte_does_not_move_it() -> None:
    call = in_doubt()
    last_byte_by = attempt(call).last_byte_by
    with clock.frozen(last_byte_by + timedelta(hours=1)):
        after(call, Uncertain("http_500"))
    assert attempt(call).last_byte_by == last_byte_by


def test_each_doubt_keeps_the_time_of_the_first_so_that_the_key_s_protection_does_not_start_again() -> None:
    first, when = proven_absent()
    begun = attempt(first).taken_at
    assert Invoice.objects.get().first_uncertain_at == begun
    with clock.frozen(when + timedelta(hours=1)):
        invoice = after(send(Invoice.objects.get()), Uncertain("timeout"))
    assert (invoice.state, invoice.first_uncertain_at) == (State.UNCERTAIN, begun)
