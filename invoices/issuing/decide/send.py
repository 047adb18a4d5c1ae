"""The next step of an invoice after a send."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from invoices.audit import Event, Outcome
from invoices.issuing.decide.conflicts import fail_as_conflict, second_number
from invoices.issuing.decide.retries import retry_delay
from invoices.issuing.decide.steps import (
    FINAL_LOOKUP_AFTER,
    accept_number,
    end_by_refund,
    fail_as_exhausted,
    failure_changes,
    look_up_before_sending,
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
    """None: the answer is stored on its attempt and changes nothing else."""
    if isinstance(answer, Issued | Submitted):
        return _numbered(row, issuance, answer, now)
    if row.exposed_by != issuance.pk or row.state not in (State.SENDING, State.UNCERTAIN):
        return None  # an older attempt's failure closes that attempt only
    if row.number:
        return None  # an invoice with a number is never absent
    if isinstance(answer, Refused):
        return _refused(row, answer, now)
    if isinstance(answer, Unavailable):
        return _unavailable(row, answer, now)
    if row.state == State.UNCERTAIN:
        return None  # the earlier uncertain answer holds
    look_up_now = isinstance(answer, Uncertain) and answer.look_up_now
    due = now if look_up_now else now + timedelta(seconds=limits.settle)
    return Step(
        to=State.UNCERTAIN,
        event=Event.UNCERTAIN,
        outcome=Outcome.FAILED,
        reason=f"{answer.code}: the provider may have it",
        changes={**_uncertain_changes(row, issuance, now), "not_before": due},
    )


def after_redundant_send(
    row: Invoice,
    issuance: InvoiceIssuance,
    answer: Issued | Submitted | ProviderError,
    *,
    numbered: InvoiceIssuance,
    now: datetime,
    limits: Limits,
) -> Step | None:
    """Another attempt was `numbered`: the failure of this one does not mean that the provider has no invoice."""
    if isinstance(answer, Issued | Submitted):
        if (answer.symbol, answer.number) != (numbered.symbol, numbered.number):
            ours, theirs = f"{numbered.symbol} {numbered.number}", f"{answer.symbol} {answer.number}"
            return fail_as_conflict(row, f"two numbers, {ours} and {theirs}, for one document", issuance)
    elif row.exposed_by == issuance.pk and (
        row.state == State.SENDING or row.state == State.UNCERTAIN and isinstance(answer, Refused | Unavailable)
    ):
        return Step(
            to=State.UNCERTAIN,
            event=Event.LATE_RESPONSE,
            reason=f"{answer.code}, but an earlier attempt was issued as {numbered.number}: looked up",
            changes={
                **_uncertain_changes(row, numbered, now),
                "attempts": _attempts_before(row) + 1,
                "exposed_at": numbered.taken_at,
                "exposed_by": numbered.pk,
                "not_before": now,
            },
        )
    return after_send(row, issuance, answer, now=now, limits=limits)


def after_abandonment(row: Invoice, issuance: InvoiceIssuance, *, now: datetime, limits: Limits) -> Step:
    """No worker recorded an answer within the longest time that a call can take."""
    due = max(now, issuance.last_byte_by + timedelta(seconds=limits.settle))
    return Step(
        to=State.UNCERTAIN,
        event=Event.ABANDONED,
        outcome=Outcome.FAILED,
        reason="no answer was recorded in the longest time that a call can take",
        changes={**_uncertain_changes(row, issuance, now), "not_before": due},
    )


def _uncertain_changes(row: Invoice, issuance: InvoiceIssuance, now: datetime) -> dict[str, Any]:
    return {
        "first_uncertain_at": row.first_uncertain_at or issuance.taken_at,
        "final_lookup_at": now + FINAL_LOOKUP_AFTER,
        "attempts": row.attempts + 1,
        "lookups": 0,
    }


def _attempts_before(row: Invoice) -> int:
    """The attempts without the one that is answered: an UNCERTAIN invoice counts it already."""
    return max(row.attempts - 1, 0) if row.state == State.UNCERTAIN else row.attempts


def _numbered(row: Invoice, issuance: InvoiceIssuance, answer: Issued | Submitted, now: datetime) -> Step | None:
    if row.number:
        why = second_number(row, answer)
        return fail_as_conflict(row, why, issuance) if why else None
    if row.state == State.SENDING and row.exposed_by != issuance.pk:
        why = f"an earlier attempt was issued as {answer.number}"
        return Step(to=State.SENDING, event=Event.LATE_RESPONSE, reason=why)
    if row.state in (State.SENDING, State.UNCERTAIN):
        return accept_number(row, answer, now)
    if row.state == State.QUEUED:
        return look_up_before_sending(row, issuance, now)
    why = f"issued as {answer.symbol} {answer.number} although we had ended it"
    return fail_as_conflict(row, why, issuance)


def _refused(row: Invoice, answer: Refused, now: datetime) -> Step:
    if row.open_refund:
        return end_by_refund(row, unexposed_changes(row))
    why = f"{answer.code}: {answer.message}"
    if answer.scope == Scope.ACCOUNT:  # the account is parked; its invoices use up no attempt
        return Step(
            to=State.QUEUED,
            event=Event.ACCOUNT_REFUSED,
            outcome=Outcome.FAILED,
            reason=why,
            changes={**unexposed_changes(row), "attempts": _attempts_before(row), "not_before": now},
        )
    reason = Reason.LATE if answer.scope == Scope.DATE_ORDER else Reason.REFUSED
    return Step(
        to=State.FAILED,
        event=Event.REFUSED,
        outcome=Outcome.REFUSED,
        reason=why,
        changes={
            **unexposed_changes(row),
            **failure_changes(reason, answer.code, answer.message, answer.field),
            "attempts": _attempts_before(row) + 1,
        },
    )


def _unavailable(row: Invoice, answer: Unavailable, now: datetime) -> Step:
    if row.open_refund:
        return end_by_refund(row, unexposed_changes(row))
    if answer.code == NOT_SENT:
        return Step(
            to=State.QUEUED,
            event=Event.NOT_SENT,
            outcome=Outcome.SKIPPED,
            reason="too late to start; no attempt was used",
            changes={**unexposed_changes(row), "attempts": _attempts_before(row), "not_before": now},
        )
    attempts = _attempts_before(row) + 1
    last_chance = row.issue_until - timedelta(seconds=2 * settings.START_WITHIN)
    if attempts > len(settings.RETRY_STEPS) or last_chance <= now:
        return fail_as_exhausted(row, answer.code, answer.message, attempts)
    delay = max(retry_delay(attempts), timedelta(seconds=answer.retry_after or 0))
    due = min(now + delay, last_chance)
    return Step(
        to=State.QUEUED,
        event=Event.RETRY_SCHEDULED,
        outcome=Outcome.FAILED,
        reason=f"{answer.code}: again at {due.isoformat()}",
        changes={**unexposed_changes(row), "attempts": attempts, "not_before": due},
    )
