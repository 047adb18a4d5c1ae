"""What an answer makes of an invoice. Pure: a locked row and an answer in, a Step out."""

import random
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from invoices.issuing import documents
from invoices.lifecycle import ASKED, Reason, State
from invoices.models import Invoice, InvoiceIssuance
from invoices.moving import Step
from invoices.providers.base import (
    Document,
    Found,
    Issued,
    Limits,
    ProviderError,
    Refused,
    Scope,
    Submitted,
    Unavailable,
    Uncertain,
)

LAST_LOOK = timedelta(days=1)  # after the last send; the providers' own delays are hours at most
NOT_SENT = "not_sent"


def after_send(
    row: Invoice,
    issuance: InvoiceIssuance,
    answer: Issued | Submitted | ProviderError,
    *,
    now: datetime,
    limits: Limits,
) -> Step | None:
    """None: the answer is kept on its issuance and changes nothing else."""
    if isinstance(answer, Issued | Submitted):
        return _numbered(row, issuance, answer, now)
    if row.exposed_by != issuance.pk or row.state not in (State.SENDING, State.UNCERTAIN):
        return None  # an older attempt's failure closes that attempt only
    if isinstance(answer, Refused):
        return _refused(row, answer, now)
    if isinstance(answer, Unavailable):
        return _unavailable(row, answer, now)
    if row.state == State.UNCERTAIN:
        return None  # as it was
    return Step(
        State.UNCERTAIN,
        "uncertain",
        "failed",
        f"{answer.code}: the provider may have it",
        {
            **_doubt(row, issuance, now),
            "not_before": now
            if isinstance(answer, Uncertain) and answer.ask_now
            else now + timedelta(seconds=limits.settle),
        },
    )


def beside_a_number(
    row: Invoice, issuance: InvoiceIssuance, answer: Any, numbered: InvoiceIssuance, *, now: datetime, limits: Limits
) -> Step | None:
    """Another attempt was given a number: this one's failure does not make the invoice unknown to the provider."""
    if isinstance(answer, Issued | Submitted):
        if answer.number != numbered.number:
            return conflict(row, f"two numbers, {numbered.number} and {answer.number}, for one document", issuance)
    elif row.state == State.SENDING and row.exposed_by == issuance.pk:
        exposed = {"exposed_at": numbered.taken_at, "exposed_by": numbered.pk}
        changes = {**_doubt(row, numbered, now), **exposed, "not_before": now}
        why = f"{answer.code}, but an earlier attempt was issued as {numbered.number}: asked about"
        return Step(State.UNCERTAIN, "late_answer", reason=why, changes=changes)
    return after_send(row, issuance, answer, now=now, limits=limits)


def abandoned(row: Invoice, issuance: InvoiceIssuance, *, now: datetime, limits: Limits) -> Step:
    """A worker took it and was not heard of in the longest time that a call can take."""
    due = max(now, issuance.last_byte_by + timedelta(seconds=limits.settle))
    return Step(
        State.UNCERTAIN,
        "abandoned",
        "failed",
        "no answer was recorded in the longest time that a call can take",
        {**_doubt(row, issuance, now), "not_before": due},
    )


def _doubt(row: Invoice, issuance: InvoiceIssuance, now: datetime) -> dict[str, Any]:
    return {
        "doubted_at": row.doubted_at or issuance.taken_at,
        "look_again_at": now + LAST_LOOK,
        "attempts": row.attempts + 1,
        "asks": 0,
    }


def after_ask(
    row: Invoice,
    issuance: InvoiceIssuance,
    answer: Found | ProviderError | None,
    *,
    begun: datetime,
    now: datetime,
    limits: Limits,
) -> Step | None:
    """`issuance.not_founds` counts this answer already where it proves something. `begun`: when the look-up was."""
    if row.state not in ASKED:
        return _last_look(row, issuance, answer, begun, now)
    if isinstance(answer, Found):
        return _found(row, answer, now)
    if answer is None and row.state == State.UNCERTAIN and row.exposed_by == issuance.pk:
        if issuance.not_founds >= 2 and not issuance.number:  # what was told to be issued is never absent
            return _absent(row, now, limits)
        settled = (issuance.not_found_at or issuance.last_byte_by) + timedelta(seconds=limits.settle)
        return _ask_again(row, max(settled, now), "not_found", "not found yet: asked again after it has settled")
    code = answer.code if isinstance(answer, ProviderError) else "not_found"
    return _ask_again(row, now + ask_delay(row.asks), "ask_failed", f"{code}: it proves nothing")


def _last_look(
    row: Invoice, issuance: InvoiceIssuance, answer: Found | ProviderError | None, begun: datetime, now: datetime
) -> Step | None:
    """It ended without a number and a send of it was once in doubt: a day later the provider is asked once more."""
    if row.number or row.failure == Reason.CONFLICT or row.state not in (State.FAILED, State.CANCELLED):
        return None
    if isinstance(answer, Found):
        return conflict(
            row, f"the provider has it as {answer.symbol} {answer.number} although we had ended it", issuance
        )
    if begun < issuance.last_byte_by + LAST_LOOK:
        return None  # an earlier look-up, recorded late
    if answer is None:
        ended = {"look_again_at": None} | ({} if row.exposed else {"doubted_at": None})
        return Step(
            State(row.state), "last_look", reason="a day later the provider still does not know it", changes=ended
        )
    again = {"look_again_at": now + ask_delay(len(settings.ASK_STEPS))}
    return Step(State(row.state), "ask_failed", "skipped", f"{answer.code}: it proves nothing", again)


def _numbered(row: Invoice, issuance: InvoiceIssuance, answer: Issued | Submitted, now: datetime) -> Step | None:
    if row.number:
        if (row.symbol, row.number) == (answer.symbol, answer.number):
            return None
        return conflict(row, f"a second number, {answer.symbol} {answer.number}, for one document", issuance)
    if row.state in (State.SENDING, State.UNCERTAIN):
        if row.state == State.SENDING and row.exposed_by != issuance.pk:
            return Step(State.SENDING, "late_answer", reason=f"an earlier attempt was issued as {answer.number}")
        return _issued(row, _facts(answer), now)
    if row.state == State.QUEUED:
        changes = {"exposed_at": issuance.taken_at, "exposed_by": issuance.pk, "not_before": now, "asks": 0}
        changes["doubted_at"] = row.doubted_at or issuance.taken_at
        return Step(
            State.UNCERTAIN, "late_answer", reason="issued after all: asked before anything is sent", changes=changes
        )
    return conflict(row, f"issued as {answer.symbol} {answer.number} although we had ended it", issuance)


def _facts(answer: Issued | Submitted | Found) -> dict[str, Any]:
    return {
        "symbol": answer.symbol,
        "number": answer.number,
        "lookup_code": answer.lookup_code,
        "lookup_url": answer.lookup_url,
        "code": getattr(answer, "code", ""),
        "look_again_at": None,
    }


def _issued(row: Invoice, facts: dict[str, Any], now: datetime, event: str = "") -> Step:
    owed = {"correction_owed": True} if row.open_refund else {}
    if facts["code"] or facts["symbol"].startswith("K"):  # K: a symbol whose invoices need no code
        changes = facts | owed | {"issued_at": now, "files_due": now, "files_tries": 0}
        return Step(State.ISSUED, event or "issued", changes=changes)
    asked = {"not_before": now + ask_delay(0), "asks": 0}
    return Step(State.SUBMITTED, event or "submitted", reason="no tax-authority code yet", changes=facts | owed | asked)


def _found(row: Invoice, found: Found, now: datetime) -> Step:
    if wrong := mismatch(found, documents.read(row.document)):
        return conflict(row, f"the provider's invoice differs from ours in {wrong}")
    if row.number and (row.symbol, row.number) != (found.symbol, found.number):
        return conflict(row, f"a second number, {found.symbol} {found.number}, for one document")
    if found.rejected:
        changes = {**_facts(found), **_failure(Reason.REJECTED, "", found.rejected)}
        return Step(State.FAILED, "rejected", "failed", "the tax authority refused it", changes)
    step = _issued(row, _facts(found), now, event="" if row.number else "found")
    if step.to == State.SUBMITTED == row.state:
        return _ask_again(row, now + ask_delay(row.asks), "asked", "still no tax-authority code")
    return step


def mismatch(found: Found, document: Document) -> str:
    """The first field that the vendor tells and that is not ours; "" where all that it tells is ours."""
    told = {
        "symbol": (found.symbol, document.symbol),
        "issue date": (found.issued_on, document.issue_date),
        "seller tax code": (found.seller_tax_code, document.seller.tax_code),
        "buyer tax code": (found.buyer_tax_code, document.buyer.tax_code),
        "total": (found.total, document.total),
    }
    return next((name for name, (theirs, ours) in told.items() if theirs is not None and theirs != ours), "")


def _absent(row: Invoice, now: datetime, limits: Limits) -> Step:
    """Two looks, each a settle time apart, found nothing: the send never happened."""
    if row.open_refund:
        return ended_by_refund(row, _unexposed(row))
    if row.doubted_at and now > row.doubted_at + limits.key_unique_for:
        why = "the provider no longer promises to refuse a second send under this key"
        return Step(State.FAILED, "failed", "failed", why, {**_unexposed(row), **_failure(Reason.STALE_KEY, "", why)})
    if row.is_last_try_over():
        return _exhausted(row, "absent", "every retry was used")
    return Step(
        State.QUEUED,
        "proven_absent",
        reason="two settled look-ups found nothing",
        changes={**_unexposed(row), "not_before": now},
    )


def _unexposed(row: Invoice) -> dict[str, Any]:
    """No provider knows it after all. A doubt that is left ends with a last look: one that was made while it still was
    exposed, or that a conflict called off, is owed again."""
    changes: dict[str, Any] = {"exposed_at": None, "exposed_by": None}
    if row.doubted_at and row.exposed_at and not row.look_again_at:
        changes["look_again_at"] = row.exposed_at + LAST_LOOK
    return changes


def _refused(row: Invoice, answer: Refused, now: datetime) -> Step:
    if row.open_refund:
        return ended_by_refund(row, _unexposed(row))
    if answer.scope == Scope.ACCOUNT:  # the account is parked; its invoices burn no attempt
        return Step(
            State.QUEUED,
            "account_refused",
            "failed",
            f"{answer.code}: {answer.message}",
            {**_unexposed(row), "not_before": now},
        )
    reason = Reason.LATE if answer.scope == Scope.LANE else Reason.REFUSED
    changes = {
        **_unexposed(row),
        **_failure(reason, answer.code, answer.message, answer.field),
        "attempts": row.attempts + 1,
    }
    return Step(State.FAILED, "refused", "refused", f"{answer.code}: {answer.message}", changes)


def _unavailable(row: Invoice, answer: Unavailable, now: datetime) -> Step:
    if row.open_refund:
        return ended_by_refund(row, _unexposed(row))
    if answer.code == NOT_SENT:
        return Step(
            State.QUEUED,
            "not_sent",
            "skipped",
            "too late to start; no attempt was used",
            {**_unexposed(row), "not_before": now},
        )
    attempts = row.attempts + 1
    last_chance = row.issue_until - timedelta(seconds=2 * settings.START_WITHIN)
    if attempts > len(settings.RETRY_STEPS) or last_chance <= now:
        return _exhausted(row, answer.code, answer.message, attempts)
    delay = max(retry_delay(attempts), timedelta(seconds=answer.retry_after or 0))
    due = min(now + delay, last_chance)
    changes = {**_unexposed(row), "attempts": attempts, "not_before": due}
    return Step(State.QUEUED, "retry_scheduled", "failed", f"{answer.code}: again at {due.isoformat()}", changes)


def _exhausted(row: Invoice, code: str, message: str, attempts: int | None = None) -> Step:
    changes = {**_unexposed(row), **_failure(Reason.EXHAUSTED, code, message), "attempts": attempts or row.attempts}
    return Step(State.FAILED, "dead_letter", "failed", f"{code}: {message}", changes)


def late(why: str) -> Step:
    """Unsent when its day was over: an operator decides, and its replay carries the day of the replay."""
    return Step(State.FAILED, "late", "failed", why, _failure(Reason.LATE, "", why))


def ended_by_refund(row: Invoice, changes: dict[str, Any]) -> Step:
    """Unexposed again, and refunded meanwhile: it is not sent a second time."""
    if row.refunded_amount >= row.sold["total"]:
        return Step(State.CANCELLED, "cancelled", reason="refunded before it was issued", changes=changes)
    message = "Partly refunded before issue: amend the lines."
    return Step(State.FAILED, "failed", "failed", message, {**changes, **_failure(Reason.AMENDED, "", message)})


def conflict(row: Invoice, why: str, told_by: InvoiceIssuance | None = None) -> Step:
    """The provider has something else than we thought. It knows the invoice then: no replay may send it again."""
    changes: dict[str, Any] = {**_failure(Reason.CONFLICT, "", why), "look_again_at": None}
    if told_by and not row.exposed:
        changes |= {"exposed_at": told_by.taken_at, "exposed_by": told_by.pk}
    return Step(State.FAILED, "conflict", "failed", why, changes)


def _failure(reason: Reason, code: str, message: str, field: str = "") -> dict[str, str]:
    return {"failure": reason.value, "failure_code": code, "failure_field": field, "failure_message": message}


def _ask_again(row: Invoice, due: datetime, event: str, why: str) -> Step:
    return Step(State(row.state), event, "skipped", why, {"asks": row.asks + 1, "not_before": due})


def retry_delay(attempts: int) -> timedelta:
    steps = settings.RETRY_STEPS
    return timedelta(seconds=steps[min(attempts, len(steps)) - 1] * random.uniform(0.9, 1.1))


def ask_delay(asks: int) -> timedelta:
    steps = settings.ASK_STEPS
    return timedelta(seconds=steps[min(asks, len(steps) - 1)] * random.uniform(0.9, 1.1))
