"""What becomes of an invoice after a send: each rule over all rows, answers, refunds, budgets and times."""

from typing import Any

import pytest

from invoices.issuing.decide.send import after_abandonment, after_send
from invoices.lifecycle import State
from invoices.models import Invoice
from invoices.moving import Step, move_one
from tests.invoices.issuing.decide.rows import (
    DAY,
    IN_DOUBT,
    LIMITS,
    NOTHING,
    NOW,
    OTHER,
    SECOND,
    TAKEN,
    TEXT,
    THIS,
    UNEXPOSED,
    Between,
    Rule,
    as_params,
    attempt,
    check_each_has_one_rule,
    check_rule,
    failed,
    in_seconds,
)
from tests.invoices.issuing.decide.sends import ANSWERS, FAILURES, LEFT, ODD, Send, cases

RETRIES = [30, 120, 300, 900, 1800, 3600]  # seconds
FIRST_LOOKUP = 60
LAST_CHANCE = 20  # seconds before the issue limit: a later try would not be sent in time


def decide(case: Send) -> tuple[Invoice, Step | None]:
    before = case.row
    return before, after_send(before, attempt(), ANSWERS[case.answer], now=NOW, limits=LIMITS)


def numbers(case: Send) -> dict[str, Any]:
    """The provider has issued it: ISSUED, or SUBMITTED while a code is missing."""
    answer = ANSWERS[case.answer]
    changes = {"symbol": answer.symbol, "number": answer.number, **ODD, "final_lookup_at": None}
    if case.open_refund:
        changes["correction_owed"] = True
    if case.answer in ("submitted", "issued, its code is missing"):
        waits = {"state": State.SUBMITTED, "not_before": in_seconds(FIRST_LOOKUP), "lookups": 0}
        return {**changes, **waits, "audit": ("submitted", "ok")}
    issued = {"state": State.ISSUED, "code": answer.code, "issued_at": NOW, "files_due": NOW, "files_attempts": 0}
    return {**changes, **issued, "audit": ("issued", "ok")}


def conflicts(case: Send) -> dict[str, Any]:
    """A contradiction: for a person, and from now on exposed."""
    exposed = {} if case.by else {"exposed_at": TAKEN[THIS], "exposed_by": THIS}
    return {**failed("conflict"), **exposed, "final_lookup_at": None, "audit": ("conflict", "failed")}


def unexposed(case: Send) -> dict[str, Any]:
    """The provider surely has nothing of this attempt. If an earlier one was in doubt, a final look-up follows."""
    final = {"final_lookup_at": TAKEN[THIS] + DAY} if case.doubted and not case.final else {}
    return UNEXPOSED | final


def tries_before(case: Send) -> int:
    """An invoice in doubt counts the attempt that is answered already: see the last test."""
    return max(case.tries - 1, 0) if case.state == State.UNCERTAIN else case.tries


def uses_a_try(case: Send) -> dict[str, Any]:
    return {"attempts": tries_before(case) + 1}


def uses_no_try(case: Send) -> dict[str, Any]:
    return {"attempts": tries_before(case)}


def has_a_try_left(case: Send) -> bool:
    return tries_before(case) < len(RETRIES) and LEFT[case.left] > LAST_CHANCE


def retries(case: Send) -> dict[str, Any]:
    last_chance = NOW + (LEFT[case.left] - LAST_CHANCE) * SECOND
    wait = 1000 if case.answer == "too many requests" else 0
    low, high = 0.9 * RETRIES[tries_before(case)], 1.1 * RETRIES[tries_before(case)]
    due = Between(*(min(NOW + max(seconds, wait) * SECOND, last_chance) for seconds in (low, high)))
    return {
        "state": State.QUEUED, **unexposed(case), **uses_a_try(case), "not_before": due,
        "audit": ("retry_scheduled", "failed"),
    }  # fmt: skip


def becomes_uncertain(case: Send) -> dict[str, Any]:
    known = case.answer == "known there"
    return {
        "state": State.UNCERTAIN, "attempts": case.tries + 1, "lookups": 0, "final_lookup_at": NOW + DAY,
        "first_uncertain_at": NOW - DAY if case.doubted else TAKEN[THIS],  # the first doubt stays the first
        "not_before": NOW if known else NOW + LIMITS.settle * SECOND, "audit": ("uncertain", "failed"),
    }  # fmt: skip


def is_retry(case: Send) -> bool:
    return case.answer in ("unavailable", "too many requests")


def fails(case: Send) -> bool:
    """A failure of the current attempt that proves that nothing happened, of a sale that is still wanted."""
    return case.answers_current and not case.number and case.surely_absent and not case.open_refund


RULES = [
    Rule(
        "the number that the invoice has already changes nothing",
        lambda c: c.numbered and bool(c.number) and c.same,
        lambda c: NOTHING,
    ),
    Rule(
        "a second number or the same number under another symbol is a conflict",
        lambda c: c.numbered and bool(c.number) and not c.same,
        conflicts,
    ),
    Rule(
        "a number for the invoice being sent by this attempt or in doubt issues it",
        lambda c: c.numbered and not c.number and (c.state == State.UNCERTAIN or c.answers_current),
        numbers,
    ),
    Rule(
        "a late number while another attempt is being sent waits for that attempt",
        lambda c: c.numbered and c.state == State.SENDING and c.by == OTHER,
        lambda c: {"audit": ("late_response", "ok")},
    ),
    Rule(
        "a late number for an invoice that is queued again puts it in doubt before anything is sent",
        lambda c: c.numbered and c.state == State.QUEUED,
        lambda c: {
            "state": State.UNCERTAIN, "exposed_at": TAKEN[THIS], "exposed_by": THIS, "not_before": NOW, "lookups": 0,
            "first_uncertain_at": NOW - DAY if c.doubted else TAKEN[THIS], "audit": ("late_response", "ok"),
        },
    ),
    Rule(
        "a late number for an invoice that ended without one is a conflict and does not reopen it",
        lambda c: c.numbered and not c.number and c.state in (State.FAILED, State.CANCELLED),
        conflicts,
    ),
    Rule(
        "a failure of another attempt closes that attempt only",
        lambda c: not c.numbered and c.by != THIS,
        lambda c: NOTHING,
    ),
    Rule(
        "a failure changes nothing of an invoice that is neither being sent nor in doubt",
        lambda c: not c.numbered and c.by == THIS and c.state not in (State.SENDING, State.UNCERTAIN),
        lambda c: NOTHING,
    ),
    Rule(
        "a refused order fails for its data and is unexposed",
        lambda c: fails(c) and c.answer == "order refused",
        lambda c: {
            **failed("refused", "TAX_CODE_INVALID", "buyer.tax_code", "unknown"), **unexposed(c), **uses_a_try(c),
            "audit": ("refused", "refused"),
        },
    ),
    Rule(
        "a refused date fails as late and is unexposed",
        lambda c: fails(c) and c.answer == "date refused",
        lambda c: {
            **failed("late", "INVOICE_ISSUED_DATE_INVALID"), **unexposed(c), **uses_a_try(c),
            "audit": ("refused", "refused"),
        },
    ),
    Rule(
        "a refused account queues its invoice again and uses up no try",
        lambda c: fails(c) and c.answer in ("account refused", "login refused"),
        lambda c: {
            "state": State.QUEUED, **unexposed(c), **uses_no_try(c), "not_before": NOW,
            "audit": ("account_refused", "failed"),
        },
    ),
    Rule(
        "what was not sent in time is queued again at once and uses up no try",
        lambda c: fails(c) and c.answer == "not sent",
        lambda c: {
            "state": State.QUEUED, **unexposed(c), **uses_no_try(c), "not_before": NOW,
            "audit": ("not_sent", "skipped"),
        },
    ),
    Rule(
        "an unavailable provider is tried again after a growing delay no sooner than it asks and before the limit",
        lambda c: fails(c) and is_retry(c) and has_a_try_left(c),
        retries,
    ),
    Rule(
        "an unavailable provider without a try or without time left makes a dead letter",
        lambda c: fails(c) and is_retry(c) and not has_a_try_left(c),
        lambda c: {
            **failed("exhausted", TEXT), **unexposed(c), **uses_a_try(c), "audit": ("dead_letter", "failed"),
        },
    ),
    Rule(
        "what surely was not issued and is refunded whole is cancelled",
        lambda c: c.answers_current and not c.number and c.surely_absent and c.open_refund and c.refund != "part",
        lambda c: {"state": State.CANCELLED, **unexposed(c), "audit": ("cancelled", "ok")},
    ),
    Rule(
        "what surely was not issued and is refunded in part waits for other lines",
        lambda c: c.answers_current and not c.number and c.surely_absent and c.refund == "part",
        lambda c: {**failed("amended"), **unexposed(c), "audit": ("failed", "failed")},
    ),
    Rule(
        "any other failure of the attempt being sent puts the invoice in doubt",
        lambda c: c.answers_current and c.state == State.SENDING and c.answer in FAILURES and not c.surely_absent,
        becomes_uncertain,
    ),
    Rule(
        "a late doubt about an invoice that is in doubt already adds nothing",
        lambda c: c.answers_current and c.state == State.UNCERTAIN and c.answer in FAILURES and not c.surely_absent,
        lambda c: NOTHING,
    ),
    Rule(
        "a late failure of an invoice that has a number does not make it absent",
        lambda c: c.answers_current and bool(c.number) and c.surely_absent,
        lambda c: IN_DOUBT,
    ),
]  # fmt: skip


@pytest.mark.parametrize("rule", as_params(RULES))
def test_after_a_send(rule: Rule[Send]) -> None:
    check_rule(rule, cases(), decide)


def test_every_answer_to_a_send_falls_under_one_rule() -> None:
    check_each_has_one_rule(RULES, cases())


def test_an_answer_that_comes_after_the_abandonment_uses_up_as_many_attempts_as_one_in_time() -> None:
    for name in ("unavailable", "not sent", "account refused", "order refused"):
        in_time = Send(State.SENDING, THIS, "", "", name).row
        step = after_abandonment(in_time, attempt(), now=NOW, limits=LIMITS)
        late = move_one(in_time, lambda _, step=step: step, actor="test", dry_run=True)
        used = [
            move_one(
                before,
                lambda before: after_send(before, attempt(), ANSWERS[name], now=NOW, limits=LIMITS),
                actor="test",
                dry_run=True,
            ).attempts
            for before in (in_time, late)
        ]
        assert used[0] == used[1], f"{name}: {used}"
