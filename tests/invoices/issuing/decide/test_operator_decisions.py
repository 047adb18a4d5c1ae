"""What operators and buyers may do to an invoice: amend, replay, skip, adopt, claim."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from config.base import clock
from invoices.lifecycle import State, WrongState
from invoices.models import Invoice
from invoices.operations.adopt import _check_adoptable
from invoices.operations.amend import (
    check_amendable,
    check_document_may_change,
    is_account_closed,
    redate,
)
from invoices.operations.claim import Closed, Taken, check_open
from invoices.operations.replay import replay
from invoices.operations.skip import skip
from invoices.providers.base import Found, ProviderError, Unavailable
from merchants.models import ProviderAccount
from tests.invoices.issuing.decide.rows import DAY, INSTANT, NOW, REFUNDS, SECOND, THIS, failed, refunded, row, values
from tests.invoices.issuing.decide.sends import lawful_rows

TIMES = {"past": NOW - SECOND, "now": NOW, "in a moment": NOW + INSTANT}
WHO: dict[str, Any] = {"actor": "user:7", "reason": "the buyer called"}
ALL_ROWS = [*lawful_rows(), (State.REPLACED, THIS, "7", ""), (State.ADJUSTED, THIS, "7", "")]
ACCOUNT = {"pk": 5, "symbol": "C26TAA", "form": "1"}


@pytest.fixture(autouse=True)
def at_ten() -> Iterator[None]:
    with clock.frozen(NOW):
        yield


def rejects(decision: Any, *args: Any, **how: Any) -> bool:
    try:
        decision(*args, **how)
    except WrongState:
        return True
    return False


def test_a_document_may_change_only_while_no_provider_can_know_the_invoice_or_an_earlier_one() -> None:
    for (state, by, number, reason), doubted in itertools.product(ALL_ROWS, (False, True)):
        before = row(state, exposed_by=by, number=number, failure=reason, first_uncertain_at=NOW if doubted else None)
        assert rejects(check_document_may_change, before) == (by is not None or doubted), (state, by, doubted)


def test_what_may_not_change_names_the_time_when_that_may_end() -> None:
    for state in (State.SENDING, State.UNCERTAIN):
        with pytest.raises(WrongState, match=(NOW + DAY).isoformat().replace("+", r"\+")):
            check_document_may_change(row(state, exposed_by=THIS, not_before=NOW + DAY))
    doubted = row(State.FAILED, first_uncertain_at=NOW, final_lookup_at=NOW + 2 * DAY)
    with pytest.raises(WrongState, match=(NOW + 2 * DAY).isoformat().replace("+", r"\+")):
        check_document_may_change(doubted)


def test_a_failed_invoice_that_no_provider_knows_is_amended_by_an_operator_and_its_refused_buyer_by_the_buyer() -> None:
    axes = itertools.product(ALL_ROWS, (False, True), (False, True), REFUNDS, (False, True), TIMES)
    for (state, by, number, reason), by_buyer, lines, refund, doubted, limit in axes:
        before = row(
            state, exposed_by=by, number=number, failure=reason, issue_until=TIMES[limit],
            first_uncertain_at=NOW if doubted else None, **refunded(refund),
        )  # fmt: skip
        amount, settled = REFUNDS[refund]
        unknown = state == State.FAILED and by is None and not doubted
        buyers_own = reason == "refused" and not lines and limit == "in a moment"
        allowed = unknown and (lines or amount == settled) and (buyers_own or not by_buyer)
        case = (state, by, reason, by_buyer, lines, refund, doubted, limit)
        assert rejects(check_amendable, before, by_buyer=by_buyer, lines=lines) != allowed, case


def test_an_account_is_closed_when_it_is_gone_deleted_or_inactive_and_not_when_it_is_paused_or_parked() -> None:
    assert is_account_closed(None)
    for active, deleted, held in itertools.product(
        (True, False), (None, NOW), ({}, {"paused": True}, {"parked_until": NOW + DAY})
    ):
        account = ProviderAccount(**ACCOUNT, is_active=active, deleted_at=deleted, **held)
        assert is_account_closed(account) == (not active or deleted is not None)


def test_an_invoice_is_dated_again_only_after_its_limit_or_once_its_account_sent_a_later_day() -> None:
    today = clock.day_vn(NOW)
    days = (today - DAY, today, today + DAY)
    for (state, by, number, _), limit, own, last, doubted in itertools.product(
        ALL_ROWS, TIMES, days[:2], (None, *days), (False, True)
    ):
        before = row(
            state, exposed_by=by, number=number, issue_until=TIMES[limit], issue_date=own,
            first_uncertain_at=NOW if doubted else None, account=ProviderAccount(**ACCOUNT, last_issue_date=last),
        )  # fmt: skip
        case = (state, by, limit, own, last, doubted)
        keeps = limit == "in a moment" and not (last and own < last)
        if keeps:
            assert redate(before) == {}, case
        elif by or doubted:
            assert rejects(redate, before), case
        else:
            until = clock.at_vn(today, 24)
            assert redate(before) == {"issue_date": today, "issue_until": until, "document": ""}, case


def test_a_replay_sends_what_no_provider_knows_looks_up_the_rest_and_says_so() -> None:
    """QUEUED: here only for an account that is closed. Why else it is not taken is read from the database."""
    waits = {State.UNCERTAIN, State.SUBMITTED, State.QUEUED}
    for (state, by, number, reason), refund, tries in itertools.product(ALL_ROWS, REFUNDS, (0, 7)):
        account = ProviderAccount(**ACCOUNT, is_active=state != State.QUEUED)
        before = row(
            state, exposed_by=by, number=number, failure=reason, attempts=tries, account=account, **refunded(refund)
        )
        amount, settled = REFUNDS[refund]
        case = (state, by, reason, refund)
        if state in (State.WAITING, State.EXPIRED, State.CANCELLED) or (
            state == State.FAILED and by is None and amount > settled
        ):
            assert rejects(replay, before, **WHO, dry_run=True), case
            continue
        result = replay(before, **WHO, dry_run=True)
        to = state
        if state == State.FAILED:
            to = State.UNCERTAIN if by else State.QUEUED
        acts = state == State.FAILED or state in waits
        assert (result.acted, result.state, result.invoice.state, bool(result.why)) == (acts, to, to, True), case
        changes: dict[str, Any] = {"state": to, "not_before": NOW} if acts else {}
        if state == State.FAILED:
            changes |= {"attempts": 0, "failure": ""} | ({"lookups": 0} if by else {})
        assert values(result.invoice) == values(before) | changes, case


def test_a_replay_of_a_closed_account_or_of_a_key_that_may_be_forgotten_is_refused() -> None:
    for closed in ({"is_active": False}, {"deleted_at": NOW}):
        account = ProviderAccount(**ACCOUNT, **closed)
        assert rejects(replay, row(State.FAILED, failure="late", account=account), **WHO, dry_run=True)


def test_only_what_holds_up_its_account_is_skipped_and_it_stays_as_exposed_as_it_was() -> None:
    for (state, by, number, reason), doubted in itertools.product(ALL_ROWS, (False, True)):
        final = {"first_uncertain_at": NOW - DAY, "final_lookup_at": NOW} if doubted else {}
        before = row(state, exposed_by=by, number=number, failure=reason, **final)
        if state not in (State.QUEUED, State.UNCERTAIN):
            assert rejects(skip, before, **WHO, dry_run=True), state
            continue
        after = skip(before, **WHO, dry_run=True)
        wanted = values(before) | failed("skipped", message="Skipped: the buyer called")
        assert values(after) == wanted, (state, by)


def test_only_what_the_tax_authority_has_accepted_is_adopted() -> None:
    ours = Found(number="7", symbol="C26TAA", code="00A1")
    invoice = row(State.FAILED, failure="conflict")
    for code, symbol, rejected in itertools.product(("", "00A1"), ("C26TAA", "K26TAA"), ("", "no")):
        found = replace(ours, code=code, symbol=symbol, rejected=rejected)
        lawful = not rejected and (code or symbol[0] == "K")
        if lawful:
            assert _check_adoptable(invoice, found) is found
        else:
            assert rejects(_check_adoptable, invoice, found), found
    assert rejects(_check_adoptable, invoice, None)
    with pytest.raises(ProviderError):
        _check_adoptable(invoice, Unavailable("timeout"))


def claim_answer(invoice: Invoice) -> str:
    try:
        check_open(invoice, NOW)
    except Taken:
        return "taken"
    except Closed:
        return "closed"
    return "open"


def test_a_buyer_may_claim_in_the_window_edit_until_the_take_and_correct_what_was_refused() -> None:
    deadlines = {None: None, **TIMES, "later": NOW + timedelta(hours=1)}
    axes = itertools.product(ALL_ROWS, deadlines, (False, True), (False, True), ("", "operator"), ("buyer.name", "net"))
    for (state, by, number, reason), deadline, claimed, was_sent, source, field in axes:
        before = row(
            state, exposed_by=by, number=number, failure=reason, failure_field=field, buyer_source=source,
            claim_deadline=deadlines[deadline], claimed_at=NOW - SECOND if claimed else None,
            document_sha256="ab" if was_sent else "",
        )  # fmt: skip
        in_time = deadline in ("in a moment", "later")
        final = was_sent or source == "operator"
        corrects = (state, by, reason, field) == (State.FAILED, None, "refused", "buyer.name")
        claims = state in (State.WAITING, State.QUEUED) and not final and (in_time or claimed)
        if corrects or claims:
            expected = "open"
        elif state in (State.WAITING, State.CANCELLED, State.EXPIRED) or (state == State.QUEUED and not final):
            expected = "closed"
        else:
            expected = "taken"
        case = (state, by, reason, deadline, claimed, was_sent, source, field)
        assert claim_answer(before) == expected, case
