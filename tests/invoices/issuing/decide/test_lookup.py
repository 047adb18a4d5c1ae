"""What becomes of an invoice after a look-up: found, proven absent, or looked up again."""

from datetime import timedelta
from typing import Any

import pytest

from invoices.issuing.decide.lookup import after_lookup
from invoices.lifecycle import Reason, State
from invoices.models import Invoice
from invoices.moving import Step
from tests.invoices.issuing.decide.lookups import (
    ANSWERS,
    DIFFERENT,
    ERRORS,
    ODD,
    REJECTED,
    SECOND_NUMBER,
    LookUp,
    cases,
)
from tests.invoices.issuing.decide.rows import (
    DAY,
    IN_DOUBT,
    INSTANT,
    LIMITS,
    NOTHING,
    NOW,
    SECOND,
    TAKEN,
    TEXT,
    THIS,
    UNEXPOSED,
    Rule,
    as_params,
    attempt,
    check_each_has_one_rule,
    check_rule,
    failed,
    in_seconds,
    row,
)

LOOKUPS = [60, 120, 300, 900, 1800, 3600]  # seconds until the next, after 0, 1, 2 … look-ups
RETRIES = 6


def decide(case: LookUp) -> tuple[Invoice, Step | None]:
    before = case.row
    proofs = {"not_founds": case.proofs, "not_found_at": case.last if case.proofs else None}
    looked_up = attempt(last_byte_by=case.last, number="7" if case.numbered else "", **proofs)
    begun = NOW - SECOND
    return before, after_lookup(before, looked_up, ANSWERS[case.answer], begun=begun, now=NOW, limits=LIMITS)


def conflicts(case: LookUp) -> dict[str, Any]:
    return {**failed("conflict"), "final_lookup_at": None, "audit": ("conflict", "failed")}


def numbers(case: LookUp) -> dict[str, Any]:
    answer = ANSWERS[case.answer]
    return {"number": answer.number, "symbol": answer.symbol, **ODD, "final_lookup_at": None}


def issued(case: LookUp) -> dict[str, Any]:
    owed = {"correction_owed": True} if case.open_refund else {}
    changes = {**numbers(case), **owed}
    if case.answer == "found without a code":
        waits = {"state": State.SUBMITTED, "lookups": 0, "not_before": in_seconds(LOOKUPS[0])}
        return {**changes, **waits, "audit": ("submitted" if case.number else "found", "ok")}
    ends = {"state": State.ISSUED, "code": "00A1", "issued_at": NOW, "files_due": NOW, "files_attempts": 0}
    return {**changes, **ends, "audit": ("issued" if case.number else "found", "ok")}


def again(case: LookUp, event: str, due: Any = None) -> dict[str, Any]:
    """UNCERTAIN and SUBMITTED are never given up: the delay stops growing, the look-ups do not stop."""
    step = LOOKUPS[min(case.lookups, len(LOOKUPS) - 1)]
    return {"lookups": case.lookups + 1, "not_before": due or in_seconds(step), "audit": (event, "skipped")}


def unexposed(case: LookUp) -> dict[str, Any]:
    final = {} if case.final or case.key == "none" else {"final_lookup_at": TAKEN[THIS] + DAY}
    return UNEXPOSED | final


def waits_for_code(case: LookUp) -> bool:
    return case.state == State.SUBMITTED and case.answer == "found without a code"


def sendable(case: LookUp) -> bool:
    """Absent, and nobody took the sale back."""
    return case.absent and not case.open_refund


RULES = [
    Rule(
        "what differs from our document in any field that is reported is a conflict",
        lambda c: c.awaited and c.answer in DIFFERENT,
        conflicts,
    ),
    Rule(
        "a second number for one document is a conflict",
        lambda c: c.awaited and bool(c.number) and c.answer in SECOND_NUMBER,
        conflicts,
    ),
    Rule(
        "what the tax authority rejected fails with its number and its reason",
        lambda c: c.awaited and c.answer in REJECTED,
        lambda c: {
            **failed("rejected", message="MST người mua không tồn tại"), **numbers(c), "audit": ("rejected", "failed"),
        },
    ),
    Rule(
        "what is found and matches is ours whichever attempt sent it",
        lambda c: c.awaited and c.found and not c.conflicting and c.answer not in REJECTED and not waits_for_code(c),
        issued,
    ),
    Rule(
        "a numbered invoice without a code is looked up again and never given up",
        waits_for_code,
        lambda c: again(c, "looked_up"),
    ),
    Rule(
        "an error proves nothing and the invoice is looked up again and never given up",
        lambda c: c.awaited and c.answer in ERRORS,
        lambda c: again(c, "lookup_failed"),
    ),
    Rule(
        "not found proves nothing about a numbered invoice or by another attempt than the one in doubt",
        lambda c: c.awaited and c.answer == "not found" and not c.proves,
        lambda c: again(c, "lookup_failed"),
    ),
    Rule(
        "fewer than two proofs are not enough and what an attempt was given is never absent",
        lambda c: c.proves and (c.proofs < 2 or c.numbered),
        lambda c: again(c, "not_found", max(NOW, c.last + LIMITS.settle * SECOND)),
    ),
    Rule(
        "what has a number is never absent",
        lambda c: c.proves and c.proofs >= 2 and not c.numbered and bool(c.number),
        lambda c: IN_DOUBT,
    ),
    Rule(
        "what is proven absent and refunded whole is cancelled",
        lambda c: c.absent and c.open_refund and c.refund != "part",
        lambda c: {"state": State.CANCELLED, **unexposed(c), "audit": ("cancelled", "ok")},
    ),
    Rule(
        "what is proven absent and refunded in part waits for other lines",
        lambda c: c.absent and c.refund == "part",
        lambda c: {**failed("amended"), **unexposed(c), "audit": ("failed", "failed")},
    ),
    Rule(
        "what is proven absent after the provider has forgotten its key is not sent again",
        lambda c: sendable(c) and c.key == "forgotten",
        lambda c: {**failed("stale_key"), **unexposed(c), "audit": ("failed", "failed")},
    ),
    Rule(
        "what is proven absent after its last try is a dead letter",
        lambda c: sendable(c) and c.key != "forgotten" and c.tries > RETRIES,
        lambda c: {**failed("exhausted", TEXT), **unexposed(c), "audit": ("dead_letter", "failed")},
    ),
    Rule(
        "what is proven absent while the provider keeps its key is sent again",
        lambda c: sendable(c) and c.key != "forgotten" and c.tries <= RETRIES,
        lambda c: {"state": State.QUEUED, **unexposed(c), "not_before": NOW, "audit": ("proven_absent", "ok")},
    ),
    Rule(
        "a late look-up that finds nothing new changes nothing of an invoice that went on",
        lambda c: not c.awaited and not (c.found and (c.state in (State.QUEUED, State.SENDING) or c.conflicting)),
        lambda c: NOTHING,
    ),
    Rule(
        "a late look-up that finds an invoice which is queued again puts it in doubt before anything is sent",
        lambda c: c.state == State.QUEUED and c.found,
        lambda c: IN_DOUBT,
    ),
    Rule(
        "a late look-up that finds an invoice which is being sent again is not lost",
        lambda c: c.state == State.SENDING and c.found,
        lambda c: {"audit": ("late_response", "ok")},
    ),
    Rule(
        "a look-up that contradicts an issued invoice is a conflict",
        lambda c: c.state == State.ISSUED and c.conflicting,
        conflicts,
    ),
]  # fmt: skip


@pytest.mark.parametrize("rule", as_params(RULES))
def test_after_a_look_up(rule: Rule[LookUp]) -> None:
    check_rule(rule, cases(), decide)


def test_every_answer_to_a_look_up_falls_under_one_rule() -> None:
    check_each_has_one_rule(RULES, cases())


@pytest.mark.parametrize(
    ("age", "state"), [(LIMITS.key_unique_for, "QUEUED"), (LIMITS.key_unique_for + INSTANT, "FAILED")]
)
def test_the_key_is_kept_from_the_first_doubt_and_not_from_the_last_send(age: timedelta, state: str) -> None:
    before = row(State.UNCERTAIN, exposed_by=THIS, first_uncertain_at=NOW - age)
    assert before.exposed_at is not None and before.exposed_at > NOW - timedelta(minutes=1)
    step = after_lookup(before, attempt(not_founds=2), None, begun=NOW, now=NOW, limits=LIMITS)
    assert step and step.to == state


def test_an_invoice_without_a_recorded_doubt_is_not_sent_under_a_forgotten_key() -> None:
    sent = NOW - LIMITS.key_unique_for - INSTANT
    before = row(State.UNCERTAIN, exposed_by=THIS, exposed_at=sent)
    looked_up = attempt(taken_at=sent, last_byte_by=sent, not_founds=2)
    step = after_lookup(before, looked_up, None, begun=NOW, now=NOW, limits=LIMITS)
    assert step and step.changes["failure"] == Reason.STALE_KEY
