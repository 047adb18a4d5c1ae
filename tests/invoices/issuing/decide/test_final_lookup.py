"""The final look-up: a day after the last send, of what ended without a number although a send was in doubt."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from invoices.issuing.decide.lookup import after_lookup
from invoices.lifecycle import State
from invoices.models import Invoice
from invoices.moving import Step
from invoices.providers.base import Found
from tests.invoices.issuing.decide.lookups import ANSWERS, ERRORS
from tests.invoices.issuing.decide.rows import (
    DAY,
    INSTANT,
    LIMITS,
    NOTHING,
    NOW,
    TAKEN,
    THIS,
    Rule,
    as_params,
    attempt,
    check_each_has_one_rule,
    check_rule,
    failed,
    in_seconds,
    row,
)
from tests.invoices.issuing.decide.sends import lawful_rows

LAST_DELAY = 3600  # seconds: the longest delay between look-ups
WHEN = {  # the look-up began, after the last byte of the attempt
    "at once": timedelta(0), "within the day": DAY - INSTANT, "a day later": DAY, "weeks later": 30 * DAY,
}  # fmt: skip


@dataclass(frozen=True)
class Final:
    state: State
    by: int | None
    number: str
    reason: str
    answer: str
    begun: str
    doubted: bool

    @property
    def row(self) -> Invoice:
        return row(
            self.state, exposed_by=self.by, number=self.number, failure=self.reason, lookups=3,
            first_uncertain_at=NOW - 40 * DAY if self.doubted else None, final_lookup_at=NOW,
        )  # fmt: skip

    @property
    def found(self) -> bool:
        return isinstance(ANSWERS[self.answer], Found)

    @property
    def open(self) -> bool:
        """It ended without a number, and no conflict about it is known."""
        return not self.number and self.reason != "conflict"

    @property
    def due(self) -> bool:
        return WHEN[self.begun] >= DAY


def cases() -> Iterator[Final]:
    ended = [row for row in lawful_rows() if row[0] in (State.FAILED, State.CANCELLED)]
    for (state, by, number, reason), answer, begun, doubted in itertools.product(ended, ANSWERS, WHEN, (False, True)):
        case = Final(state, by, number, reason, answer, begun, doubted)
        if not (case.found and number and reason != "conflict" and answer != "found"):
            yield case  # another number than a rejected invoice has: see test_lookup.py


def decide(case: Final) -> tuple[Invoice, Step | None]:
    before = case.row
    sent = attempt(last_byte_by=NOW - 30 * DAY, not_founds=7)
    begun = NOW - 30 * DAY + WHEN[case.begun]
    return before, after_lookup(before, sent, ANSWERS[case.answer], begun=begun, now=NOW, limits=LIMITS)


RULES = [
    Rule(
        "what is found although it had ended is a conflict at any time and is exposed",
        lambda c: c.open and c.found,
        lambda c: {
            **failed("conflict"), **({} if c.by else {"exposed_at": TAKEN[THIS], "exposed_by": THIS}),
            "final_lookup_at": None, "audit": ("conflict", "failed"),
        },
    ),
    Rule(
        "what is not found a day after the last send is in doubt no more unless it is still exposed",
        lambda c: c.open and c.answer == "not found" and c.due,
        lambda c: {
            "final_lookup_at": None, "first_uncertain_at": NOW - 40 * DAY if c.by and c.doubted else None,
            "audit": ("final_lookup", "ok"),
        },
    ),
    Rule(
        "an error proves nothing and the final look-up is made again",
        lambda c: c.open and c.answer in ERRORS and c.due,
        lambda c: {"final_lookup_at": in_seconds(LAST_DELAY), "audit": ("lookup_failed", "skipped")},
    ),
    Rule(
        "a look-up that began within a day of the last send ends no doubt",
        lambda c: c.open and not c.found and not c.due,
        lambda c: NOTHING,
    ),
    Rule(
        "an invoice with a number or in conflict waits for an operator",
        lambda c: not c.open,
        lambda c: NOTHING,
    ),
]  # fmt: skip


@pytest.mark.parametrize("rule", as_params(RULES))
def test_after_a_final_look_up(rule: Rule[Final]) -> None:
    check_rule(rule, cases(), decide)


def test_every_answer_to_a_final_look_up_falls_under_one_rule() -> None:
    check_each_has_one_rule(RULES, cases())


def test_a_late_look_up_does_not_end_the_doubt_about_a_replayed_invoice() -> None:
    """It began as a final look-up; a replay came before its answer."""
    for state, by, number, _ in lawful_rows():
        if state in (State.FAILED, State.CANCELLED):
            continue
        before: Any = row(state, exposed_by=by, number=number, first_uncertain_at=NOW - 2 * DAY, final_lookup_at=NOW)
        step = after_lookup(before, attempt(last_byte_by=NOW - 2 * DAY), None, begun=NOW, now=NOW, limits=LIMITS)
        assert step is None or not {"first_uncertain_at", "final_lookup_at"} & step.changes.keys(), (state, by)
