"""Steps and changes that several decisions share."""

from datetime import datetime, timedelta
from typing import Any

from invoices.audit import Event, Outcome
from invoices.issuing.decide.retries import lookup_delay
from invoices.lifecycle import Reason, State
from invoices.models import Invoice, InvoiceIssuance
from invoices.moving import Step
from invoices.providers.base import Found, Issued, Submitted

FINAL_LOOKUP_AFTER = timedelta(days=1)  # after the last send; providers report an invoice within hours


def accept_number(row: Invoice, answer: Issued | Submitted | Found, now: datetime, event: Event | None = None) -> Step:
    """ISSUED, or SUBMITTED while the tax authority's code is missing. `event`: the default is that of the new state."""
    changes = number_changes(answer)
    if row.open_refund:
        changes["correction_owed"] = True
    if changes["code"] or answer.symbol.startswith("K"):  # K: a symbol whose invoices need no code
        changes |= {"issued_at": now, "files_due": now, "files_attempts": 0}
        return Step(to=State.ISSUED, event=event or Event.ISSUED, changes=changes)
    changes |= {"not_before": now + lookup_delay(0), "lookups": 0}
    return Step(to=State.SUBMITTED, event=event or Event.SUBMITTED, reason="no tax-authority code yet", changes=changes)


def number_changes(answer: Issued | Submitted | Found) -> dict[str, Any]:
    return {
        "symbol": answer.symbol,
        "number": answer.number,
        "lookup_code": answer.lookup_code,
        "lookup_url": answer.lookup_url,
        "code": getattr(answer, "code", ""),
        "final_lookup_at": None,
    }


def look_up_before_sending(row: Invoice, issuance: InvoiceIssuance, now: datetime) -> Step:
    """An attempt of a QUEUED invoice turns out to have been issued."""
    return Step(
        to=State.UNCERTAIN,
        event=Event.LATE_RESPONSE,
        reason="issued after all: looked up before anything is sent",
        changes={
            "exposed_at": issuance.taken_at,
            "exposed_by": issuance.pk,
            "not_before": now,
            "lookups": 0,
            "first_uncertain_at": row.first_uncertain_at or issuance.taken_at,
        },
    )


def unexposed_changes(row: Invoice) -> dict[str, Any]:
    """The changes once it is certain that no provider knows the invoice.

    If a send of it was ever uncertain, a final look-up must follow. One that was made while the invoice was exposed, or
    that a conflict cancelled, is scheduled again.
    """
    changes: dict[str, Any] = {"exposed_at": None, "exposed_by": None}
    if row.first_uncertain_at and row.exposed_at and not row.final_lookup_at:
        changes["final_lookup_at"] = row.exposed_at + FINAL_LOOKUP_AFTER
    return changes


def fail_as_exhausted(row: Invoice, code: str, message: str, attempts: int | None = None) -> Step:
    """Every retry was used. `attempts`: the number with this attempt, if the row does not count it yet."""
    return Step(
        to=State.FAILED,
        event=Event.DEAD_LETTER,
        outcome=Outcome.FAILED,
        reason=f"{code}: {message}",
        changes={
            **unexposed_changes(row),
            **failure_changes(Reason.EXHAUSTED, code, message),
            "attempts": attempts or row.attempts,
        },
    )


def fail_as_late(why: str) -> Step:
    """Not sent before its day was over. An operator decides; a replay dates it on the day of the replay."""
    return Step(
        to=State.FAILED,
        event=Event.LATE,
        outcome=Outcome.FAILED,
        reason=why,
        changes=failure_changes(Reason.LATE, "", why),
    )


def end_by_refund(row: Invoice, changes: dict[str, Any]) -> Step:
    """The invoice is unexposed again and was refunded in the meantime: it is not sent a second time."""
    if row.refunded_amount >= row.sold["total"]:
        return Step(to=State.CANCELLED, event=Event.CANCELLED, reason="refunded before it was issued", changes=changes)
    message = "Partly refunded before issue: amend the lines."
    return Step(
        to=State.FAILED,
        event=Event.FAILED,
        outcome=Outcome.FAILED,
        reason=message,
        changes={**changes, **failure_changes(Reason.AMENDED, "", message)},
    )


def failure_changes(reason: Reason, code: str, message: str, field: str = "") -> dict[str, str]:
    return {"failure": reason.value, "failure_code": code, "failure_field": field, "failure_message": message}
