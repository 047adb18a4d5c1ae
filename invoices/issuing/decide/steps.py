"""Steps and changes that several decisions share."""

from datetime import datetime, timedelta
from typing import Any

from invoices.issuing.decide.retries import lookup_delay
from invoices.lifecycle import Reason, State
from invoices.models import Invoice
from invoices.moving import Step
from invoices.providers.base import Found, Issued, Submitted

FINAL_LOOKUP_AFTER = timedelta(days=1)  # after the last send; the providers' own delays are hours at most


def accept_number(row: Invoice, facts: dict[str, Any], now: datetime, event: str = "") -> Step:
    owed = {"correction_owed": True} if row.open_refund else {}
    if facts["code"] or facts["symbol"].startswith("K"):  # K: a symbol whose invoices need no code
        changes = facts | owed | {"issued_at": now, "files_due": now, "files_tries": 0}
        return Step(State.ISSUED, event or "issued", changes=changes)
    asked = {"not_before": now + lookup_delay(0), "lookups": 0}
    return Step(State.SUBMITTED, event or "submitted", reason="no tax-authority code yet", changes=facts | owed | asked)


def number_changes(answer: Issued | Submitted | Found) -> dict[str, Any]:
    return {
        "symbol": answer.symbol,
        "number": answer.number,
        "lookup_code": answer.lookup_code,
        "lookup_url": answer.lookup_url,
        "code": getattr(answer, "code", ""),
        "final_lookup_at": None,
    }


def unexposed_changes(row: Invoice) -> dict[str, Any]:
    """No provider knows it after all. A doubt that is left ends with a last look: one that was made while it still was
    exposed, or that a conflict called off, is owed again."""
    changes: dict[str, Any] = {"exposed_at": None, "exposed_by": None}
    if row.first_uncertain_at and row.exposed_at and not row.final_lookup_at:
        changes["final_lookup_at"] = row.exposed_at + FINAL_LOOKUP_AFTER
    return changes


def fail_as_exhausted(row: Invoice, code: str, message: str, attempts: int | None = None) -> Step:
    changes = {
        **unexposed_changes(row),
        **failure_changes(Reason.EXHAUSTED, code, message),
        "attempts": attempts or row.attempts,
    }
    return Step(State.FAILED, "dead_letter", "failed", f"{code}: {message}", changes)


def fail_as_late(why: str) -> Step:
    """Unsent when its day was over: an operator decides, and its replay carries the day of the replay."""
    return Step(State.FAILED, "late", "failed", why, failure_changes(Reason.LATE, "", why))


def end_by_refund(row: Invoice, changes: dict[str, Any]) -> Step:
    """Unexposed again, and refunded meanwhile: it is not sent a second time."""
    if row.refunded_amount >= row.sold["total"]:
        return Step(State.CANCELLED, "cancelled", reason="refunded before it was issued", changes=changes)
    message = "Partly refunded before issue: amend the lines."
    return Step(State.FAILED, "failed", "failed", message, {**changes, **failure_changes(Reason.AMENDED, "", message)})


def failure_changes(reason: Reason, code: str, message: str, field: str = "") -> dict[str, str]:
    return {"failure": reason.value, "failure_code": code, "failure_field": field, "failure_message": message}
