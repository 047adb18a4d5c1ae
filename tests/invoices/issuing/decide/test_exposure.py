"""The rule above all others: an invoice that a provider may know is never sent again, and only proof ends that."""

from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from invoices.issuing.decide.send import after_send
from invoices.lifecycle import State
from invoices.providers.base import Refused, Unavailable
from tests.invoices.issuing.decide import sends, test_lookup, test_send
from tests.invoices.issuing.decide.rows import LIMITS, NOW, THIS, attempt, row


class Decided(NamedTuple):
    case: Any
    exposed_by: int | None
    first_doubt: datetime | None
    to: State
    changes: dict[str, Any]

    @property
    def unexposes(self) -> bool:
        return self.exposed_by is not None and self.changes.get("exposed_by", self.exposed_by) is None

    @property
    def failure(self) -> str:
        return self.changes.get("failure", "")


@cache
def decided(table: Any) -> list[Decided]:
    """The steps of all cases of a table."""
    every = []
    for case in table.cases():
        before, step = table.decide(case)
        if step:
            every.append(Decided(case, before.exposed_by, before.first_uncertain_at, step.to, step.changes))
    return every


def test_only_a_refusal_of_the_exposing_attempt_or_two_proofs_of_it_clear_the_exposure() -> None:
    for send in decided(test_send):
        if send.unexposes:
            assert send.exposed_by == THIS, send.case
            assert isinstance(sends.ANSWERS[send.case.answer], Refused | Unavailable), send.case
    for look_up in decided(test_lookup):
        if look_up.unexposes:
            case = look_up.case
            assert look_up.exposed_by == THIS and case.state == State.UNCERTAIN, case
            assert case.answer == "not found" and case.proofs >= 2 and not case.numbered, case


def test_the_first_doubt_is_never_moved_by_a_later_one() -> None:
    for step in decided(test_send) + decided(test_lookup):
        if step.first_doubt:
            assert step.changes.get("first_uncertain_at", step.first_doubt) == step.first_doubt, step.case


def test_an_invoice_in_doubt_is_never_exhausted() -> None:
    """Not by any number of doubts or look-ups: only once it is proven absent."""
    for look_up in decided(test_lookup):
        if look_up.failure == "exhausted":
            assert look_up.case.proofs >= 2 and not look_up.case.numbered, look_up.case
    before = row(State.SENDING, exposed_by=THIS, attempts=99, issue_until=NOW)
    step = after_send(before, attempt(), sends.ANSWERS["uncertain"], now=NOW, limits=LIMITS)
    assert step and step.to == State.UNCERTAIN


def test_no_answer_to_a_send_opens_an_invoice_that_has_ended() -> None:
    """A late number makes a conflict; a late failure changes nothing."""
    for send in decided(test_send):
        if send.case.state in (State.FAILED, State.CANCELLED, State.EXPIRED, State.ISSUED):
            assert (send.to, send.failure) == (State.FAILED, "conflict"), send.case
