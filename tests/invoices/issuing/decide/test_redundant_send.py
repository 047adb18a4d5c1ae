"""What becomes of a send whose invoice was given a number by an earlier attempt: no second number goes unnoticed."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from invoices.issuing.decide.send import after_redundant_send, after_send
from invoices.lifecycle import State
from invoices.models import Invoice
from invoices.moving import Step
from invoices.providers.base import Refused, Unavailable
from tests.invoices.issuing.decide.rows import (
    DAY,
    IN_DOUBT,
    LIMITS,
    NOW,
    OTHER,
    REFUNDS,
    TAKEN,
    THIS,
    Rule,
    as_params,
    attempt,
    check_rule,
    failed,
    refunded,
    row,
)
from tests.invoices.issuing.decide.sends import ANSWERS, FAILURES, SAME, lawful_rows

EARLIER = {"symbol": "C26TAA", "number": "7", "outcome": "issued"}  # what attempt OTHER was given
OTHER_SYMBOL = ("issued under another symbol", "issued, needs no code")


@dataclass(frozen=True)
class Redundant:
    state: State
    by: int | None
    number: str
    reason: str
    answer: str
    refund: str
    doubted: bool

    @property
    def row(self) -> Invoice:
        return row(
            self.state, exposed_by=self.by, number=self.number, failure=self.reason, attempts=1,
            first_uncertain_at=NOW - DAY if self.doubted else None, **refunded(self.refund),
        )  # fmt: skip

    @property
    def failed(self) -> bool:
        return self.answer in FAILURES


def cases() -> Iterator[Redundant]:
    for (state, by, number, reason), answer in itertools.product(lawful_rows(), ANSWERS):
        if state in (State.WAITING, State.EXPIRED):
            continue  # never sent
        for refund, doubted in itertools.product(REFUNDS, (False, True)):
            yield Redundant(state, by, number, reason, answer, refund, doubted)


def decide(case: Redundant) -> tuple[Invoice, Step | None]:
    before = case.row
    answer, numbered = ANSWERS[case.answer], attempt(OTHER, **EARLIER)
    return before, after_redundant_send(before, attempt(), answer, numbered=numbered, now=NOW, limits=LIMITS)


def conflicts(case: Redundant) -> dict[str, Any]:
    exposed = {} if case.by else {"exposed_at": TAKEN[THIS], "exposed_by": THIS}
    return {**failed("conflict"), **exposed, "final_lookup_at": None, "audit": ("conflict", "failed")}


def current(case: Redundant) -> bool:
    return case.by == THIS and case.state in (State.SENDING, State.UNCERTAIN) and not case.number


RULES = [
    Rule(
        "two attempts with two numbers are a conflict whatever the invoice has become",
        lambda c: c.answer == "issued with another number",
        conflicts,
    ),
    Rule(
        "the same number under another symbol is another number than the invoice has",
        lambda c: c.answer in OTHER_SYMBOL and bool(c.number),
        conflicts,
    ),
    Rule(
        "the same number under another symbol is another number than the earlier attempt was given",
        lambda c: c.answer in OTHER_SYMBOL and not c.number,
        conflicts,
    ),
    Rule(
        "no failure of the attempt being sent hides that an earlier one was issued",
        lambda c: c.failed and current(c) and c.state == State.SENDING,
        lambda c: {
            "state": State.UNCERTAIN, "exposed_at": TAKEN[OTHER], "exposed_by": OTHER, "not_before": NOW,
            "first_uncertain_at": NOW - DAY if c.doubted else TAKEN[OTHER], "final_lookup_at": NOW + DAY,
            "attempts": 2, "lookups": 0, "audit": ("late_response", "ok"),
        },
    ),
    Rule(
        "no late failure of an attempt that is in doubt hides that an earlier one was issued",
        lambda c: c.state == State.UNCERTAIN and current(c) and isinstance(ANSWERS[c.answer], Refused | Unavailable),
        lambda c: IN_DOUBT,
    ),
]  # fmt: skip


@pytest.mark.parametrize("rule", as_params(RULES))
def test_after_a_redundant_send(rule: Rule[Redundant]) -> None:
    check_rule(rule, cases(), decide)


def test_otherwise_the_earlier_number_makes_no_difference() -> None:
    """The same number again, and failures of attempts that are not current any more."""
    count = 0
    for case in cases():
        if case.answer in SAME or (case.failed and not current(case) and not (case.by == THIS and case.number)):
            before, step = decide(case)
            alone = after_send(before, attempt(), ANSWERS[case.answer], now=NOW, limits=LIMITS)
            assert (step is None) == (alone is None), case
            if step and alone:
                assert (step.to, step.event, step.changes.keys()) == (alone.to, alone.event, alone.changes.keys()), case
            count += 1
    assert count > 500
