"""What becomes of an invoice after a send."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from invoices.issuing.decide.conflicts import fail_as_conflict
from invoices.issuing.decide.retries import retry_delay
from invoices.issuing.decide.steps import (
    FINAL_LOOKUP_AFTER,
    accept_number,
    end_by_refund,
    fail_as_exhausted,
    failure_changes,
    number_changes,
    unexposed_changes,
)
from invoices.lifecycle import Reason, State
from invoices.models import Invoice, InvoiceIssuance
from invoices.moving import Step
from invoices.providers.base import Issued, Limits, ProviderError, Refused, Scope, Submitted, Unavailable, Uncertain

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
            **_uncertain_changes(row, issuance, now),
            "not_before": now
            if isinstance(answer, Uncertain) and answer.look_up_now
            else now + timedelta(seconds=limits.settle),
        },
    )


def after_redundant_send(
    row: Invoice, issuance: InvoiceIssuance, answer: Any, numbered: InvoiceIssuance, *, now: datetime, limits: Limits
) -> Step | None:
    """Another attempt was given a number: this one's failure does not make the invoice unknown to the provider."""
    if isinstance(answer, Issued | Submitted):
        if answer.number != numbered.number:
            return fail_as_conflict(
                row, f"two numbers, {numbered.number} and {answer.number}, for one document", issuance
            )
    elif row.state == State.SENDING and row.exposed_by == issuance.pk:
        exposed = {"exposed_at": numbered.taken_at, "exposed_by": numbered.pk}
        changes = {**_uncertain_changes(row, numbered, now), **exposed, "not_before": now}
        why = f"{answer.code}, but an earlier attempt was issued as {numbered.number}: asked about"
        return Step(State.UNCERTAIN, "late_answer", reason=why, changes=changes)
    return after_send(row, issuance, answer, now=now, limits=limits)


def after_abandonment(row: Invoice, issuance: InvoiceIssuance, *, now: datetime, limits: Limits) -> Step:
    """A worker took it and was not heard of in the longest time that a call can take."""
    due = max(now, issuance.last_byte_by + timedelta(seconds=limits.settle))
    return Step(
        State.UNCERTAIN,
        "abandoned",
        "failed",
        "no answer was recorded in the longest time that a call can take",
        {**_uncertain_changes(row, issuance, now), "not_before": due},
    )


def _uncertain_changes(row: Invoice, issuance: InvoiceIssuance, now: datetime) -> dict[str, Any]:
    return {
        "first_uncertain_at": row.first_uncertain_at or issuance.taken_at,
        "final_lookup_at": now + FINAL_LOOKUP_AFTER,
        "attempts": row.attempts + 1,
        "lookups": 0,
    }


def _numbered(row: Invoice, issuance: InvoiceIssuance, answer: Issued | Submitted, now: datetime) -> Step | None:
    if row.number:
        if (row.symbol, row.number) == (answer.symbol, answer.number):
            return None
        return fail_as_conflict(row, f"a second number, {answer.symbol} {answer.number}, for one document", issuance)
    if row.state in (State.SENDING, State.UNCERTAIN):
        if row.state == State.SENDING and row.exposed_by != issuance.pk:
            return Step(State.SENDING, "late_answer", reason=f"an earlier attempt was issued as {answer.number}")
        return accept_number(row, number_changes(answer), now)
    if row.state == State.QUEUED:
        changes = {"exposed_at": issuance.taken_at, "exposed_by": issuance.pk, "not_before": now, "lookups": 0}
        changes["first_uncertain_at"] = row.first_uncertain_at or issuance.taken_at
        return Step(
            State.UNCERTAIN, "late_answer", reason="issued after all: asked before anything is sent", changes=changes
        )
    return fail_as_conflict(row, f"issued as {answer.symbol} {answer.number} although we had ended it", issuance)


def _refused(row: Invoice, answer: Refused, now: datetime) -> Step:
    if row.open_refund:
        return end_by_refund(row, unexposed_changes(row))
    if answer.scope == Scope.ACCOUNT:  # the account is parked; its invoices burn no attempt
        return Step(
            State.QUEUED,
            "account_refused",
            "failed",
            f"{answer.code}: {answer.message}",
            {**unexposed_changes(row), "not_before": now},
        )
    reason = Reason.LATE if answer.scope == Scope.LANE else Reason.REFUSED
    changes = {
        **unexposed_changes(row),
        **failure_changes(reason, answer.code, answer.message, answer.field),
        "attempts": row.attempts + 1,
    }
    return Step(State.FAILED, "refused", "refused", f"{answer.code}: {answer.message}", changes)


def _unavailable(row: Invoice, answer: Unavailable, now: datetime) -> Step:
    if row.open_refund:
        return end_by_refund(row, unexposed_changes(row))
    if answer.code == NOT_SENT:
        return Step(
            State.QUEUED,
            "not_sent",
            "skipped",
            "too late to start; no attempt was used",
            {**unexposed_changes(row), "not_before": now},
        )
    attempts = row.attempts + 1
    last_chance = row.issue_until - timedelta(seconds=2 * settings.START_WITHIN)
    if attempts > len(settings.RETRY_STEPS) or last_chance <= now:
        return fail_as_exhausted(row, answer.code, answer.message, attempts)
    delay = max(retry_delay(attempts), timedelta(seconds=answer.retry_after or 0))
    due = min(now + delay, last_chance)
    changes = {**unexposed_changes(row), "attempts": attempts, "not_before": due}
    return Step(State.QUEUED, "retry_scheduled", "failed", f"{answer.code}: again at {due.isoformat()}", changes)
