"""What becomes of an invoice after a look-up."""

from datetime import datetime, timedelta

from django.conf import settings

from invoices.issuing import documents
from invoices.issuing.decide.conflicts import fail_as_conflict, mismatch
from invoices.issuing.decide.retries import lookup_delay
from invoices.issuing.decide.steps import (
    FINAL_LOOKUP_AFTER,
    accept_number,
    end_by_refund,
    fail_as_exhausted,
    failure_changes,
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
    """`issuance.not_founds` counts this answer already where it proves something. `begun`: when the look-up was."""
    if row.state not in AWAITING_LOOKUP:
        return _after_final_lookup(row, issuance, answer, begun, now)
    if isinstance(answer, Found):
        return _found(row, answer, now)
    if answer is None and row.state == State.UNCERTAIN and row.exposed_by == issuance.pk:
        if issuance.not_founds >= 2 and not issuance.number:  # what was told to be issued is never absent
            return _absent(row, now, limits)
        settled = (issuance.not_found_at or issuance.last_byte_by) + timedelta(seconds=limits.settle)
        return _look_up_again(row, max(settled, now), "not_found", "not found yet: asked again after it has settled")
    code = answer.code if isinstance(answer, ProviderError) else "not_found"
    return _look_up_again(row, now + lookup_delay(row.lookups), "ask_failed", f"{code}: it proves nothing")


def _after_final_lookup(
    row: Invoice, issuance: InvoiceIssuance, answer: Found | ProviderError | None, begun: datetime, now: datetime
) -> Step | None:
    """It ended without a number and a send of it was once in doubt: a day later the provider is asked once more."""
    if row.number or row.failure == Reason.CONFLICT or row.state not in (State.FAILED, State.CANCELLED):
        return None
    if isinstance(answer, Found):
        return fail_as_conflict(
            row, f"the provider has it as {answer.symbol} {answer.number} although we had ended it", issuance
        )
    if begun < issuance.last_byte_by + FINAL_LOOKUP_AFTER:
        return None  # an earlier look-up, recorded late
    if answer is None:
        ended = {"final_lookup_at": None} | ({} if row.exposed else {"first_uncertain_at": None})
        return Step(
            State(row.state), "last_look", reason="a day later the provider still does not know it", changes=ended
        )
    again = {"final_lookup_at": now + lookup_delay(len(settings.LOOKUP_STEPS))}
    return Step(State(row.state), "ask_failed", "skipped", f"{answer.code}: it proves nothing", again)


def _found(row: Invoice, found: Found, now: datetime) -> Step:
    if wrong := mismatch(found, documents.read(row.document)):
        return fail_as_conflict(row, f"the provider's invoice differs from ours in {wrong}")
    if row.number and (row.symbol, row.number) != (found.symbol, found.number):
        return fail_as_conflict(row, f"a second number, {found.symbol} {found.number}, for one document")
    if found.rejected:
        changes = {**number_changes(found), **failure_changes(Reason.REJECTED, "", found.rejected)}
        return Step(State.FAILED, "rejected", "failed", "the tax authority refused it", changes)
    step = accept_number(row, number_changes(found), now, event="" if row.number else "found")
    if step.to == State.SUBMITTED == row.state:
        return _look_up_again(row, now + lookup_delay(row.lookups), "asked", "still no tax-authority code")
    return step


def _absent(row: Invoice, now: datetime, limits: Limits) -> Step:
    """Two looks, each a settle time apart, found nothing: the send never happened."""
    if row.open_refund:
        return end_by_refund(row, unexposed_changes(row))
    if row.first_uncertain_at and now > row.first_uncertain_at + limits.key_unique_for:
        why = "the provider no longer promises to refuse a second send under this key"
        return Step(
            State.FAILED,
            "failed",
            "failed",
            why,
            {**unexposed_changes(row), **failure_changes(Reason.STALE_KEY, "", why)},
        )
    if row.is_last_try_over():
        return fail_as_exhausted(row, "absent", "every retry was used")
    return Step(
        State.QUEUED,
        "proven_absent",
        reason="two settled look-ups found nothing",
        changes={**unexposed_changes(row), "not_before": now},
    )


def _look_up_again(row: Invoice, due: datetime, event: str, why: str) -> Step:
    return Step(State(row.state), event, "skipped", why, {"lookups": row.lookups + 1, "not_before": due})
