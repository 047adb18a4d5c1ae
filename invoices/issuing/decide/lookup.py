"""The next step of an invoice after a look-up."""

from datetime import datetime, timedelta

from django.conf import settings

from invoices.audit import Event, Outcome
from invoices.issuing import documents
from invoices.issuing.decide.conflicts import fail_as_conflict, mismatch, second_number
from invoices.issuing.decide.retries import lookup_delay
from invoices.issuing.decide.steps import (
    FINAL_LOOKUP_AFTER,
    accept_number,
    end_by_refund,
    fail_as_exhausted,
    failure_changes,
    look_up_before_sending,
    number_changes,
    unexposed_changes,
)
from invoices.lifecycle import AWAITING_LOOKUP, Reason, State
from invoices.models import Invoice, InvoiceIssuance
from invoices.moving import Step
from invoices.providers.base import Found, Limits, ProviderError


def after_lookup(
    row: Invoice,
    issuance: InvoiceIssuance,
    answer: Found | ProviderError | None,
    *,
    begun: datetime,
    now: datetime,
    limits: Limits,
) -> Step | None:
    """`begun`: when the look-up began. `issuance.not_founds` already counts this answer if it proves something."""
    if isinstance(answer, Found) and row.state in (State.QUEUED, State.SENDING, State.ISSUED):
        return _found_late(row, issuance, answer, now)
    if row.state not in AWAITING_LOOKUP:
        return _after_final_lookup(row, issuance, answer, begun, now)
    if isinstance(answer, Found):
        return _found(row, answer, now)
    if answer is None and row.state == State.UNCERTAIN and row.exposed_by == issuance.pk:
        if issuance.not_founds >= 2 and not (issuance.number or row.number):  # what has a number is never absent
            return _absent(row, now, limits)
        settled = (issuance.not_found_at or issuance.last_byte_by) + timedelta(seconds=limits.settle)
        return _look_up_again(row, max(settled, now), Event.NOT_FOUND, "not found yet: looked up again once settled")
    code = answer.code if isinstance(answer, ProviderError) else "not_found"
    due = now + lookup_delay(row.lookups)
    return _look_up_again(row, due, Event.LOOKUP_FAILED, f"{code}: it proves nothing")


def _found_late(row: Invoice, issuance: InvoiceIssuance, found: Found, now: datetime) -> Step | None:
    """For an invoice that went on: an operator looked it up, or an earlier look-up is recorded late."""
    if row.state == State.QUEUED:
        return look_up_before_sending(row, issuance, now)
    if row.state == State.SENDING:
        why = f"an earlier attempt was found as {found.symbol} {found.number}"
        return Step(to=State.SENDING, event=Event.LATE_RESPONSE, reason=why)
    why = _contradiction(row, found)
    return fail_as_conflict(row, why, issuance) if why else None


def _after_final_lookup(
    row: Invoice, issuance: InvoiceIssuance, answer: Found | ProviderError | None, begun: datetime, now: datetime
) -> Step | None:
    """For an invoice that ended without a number after an uncertain send."""
    if row.number or row.failure == Reason.CONFLICT or row.state not in (State.FAILED, State.CANCELLED):
        return None
    if isinstance(answer, Found):
        why = f"the provider has it as {answer.symbol} {answer.number} although we had ended it"
        return fail_as_conflict(row, why, issuance)
    if begun < issuance.last_byte_by + FINAL_LOOKUP_AFTER:
        return None  # an earlier look-up, recorded late
    if answer is None:
        return Step(
            to=State(row.state),
            event=Event.FINAL_LOOKUP,
            reason="a day later the provider still does not know it",
            changes={"final_lookup_at": None} | ({} if row.exposed else {"first_uncertain_at": None}),
        )
    return Step(
        to=State(row.state),
        event=Event.LOOKUP_FAILED,
        outcome=Outcome.SKIPPED,
        reason=f"{answer.code}: it proves nothing",
        changes={"final_lookup_at": now + lookup_delay(len(settings.LOOKUP_STEPS))},
    )


def _found(row: Invoice, found: Found, now: datetime) -> Step:
    if why := _contradiction(row, found):
        return fail_as_conflict(row, why)
    if found.rejected:
        return Step(
            to=State.FAILED,
            event=Event.REJECTED,
            outcome=Outcome.FAILED,
            reason="the tax authority rejected it",
            changes={**number_changes(found), **failure_changes(Reason.REJECTED, "", found.rejected)},
        )
    step = accept_number(row, found, now, event=None if row.number else Event.FOUND)
    if step.to == State.SUBMITTED == row.state:
        due = now + lookup_delay(row.lookups)
        return _look_up_again(row, due, Event.LOOKED_UP, "still no tax-authority code")
    return step


def _contradiction(row: Invoice, found: Found) -> str:
    if difference := mismatch(found, documents.parse_document(row.document)):
        return f"the provider's invoice differs from ours in {difference}"
    return second_number(row, found)


def _absent(row: Invoice, now: datetime, limits: Limits) -> Step:
    """Two look-ups, each after a settle time, did not find it: the send never happened."""
    if row.open_refund:
        return end_by_refund(row, unexposed_changes(row))
    first_sent = row.first_uncertain_at or row.exposed_at
    if first_sent and now > first_sent + limits.key_unique_for:
        why = "the provider no longer promises to refuse a second send with this reference"
        return Step(
            to=State.FAILED,
            event=Event.FAILED,
            outcome=Outcome.FAILED,
            reason=why,
            changes={**unexposed_changes(row), **failure_changes(Reason.STALE_KEY, "", why)},
        )
    if row.has_used_every_retry():
        return fail_as_exhausted(row, "absent", "every retry was used")
    return Step(
        to=State.QUEUED,
        event=Event.PROVEN_ABSENT,
        reason="two settled look-ups found nothing",
        changes={**unexposed_changes(row), "not_before": now},
    )


def _look_up_again(row: Invoice, due: datetime, event: Event, why: str) -> Step:
    return Step(
        to=State(row.state),
        event=event,
        outcome=Outcome.SKIPPED,
        reason=why,
        changes={"lookups": row.lookups + 1, "not_before": due},
    )
