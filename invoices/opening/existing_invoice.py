"""The effects of requests, claims and refunds on an existing invoice."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings

from config.base import clock
from invoices.audit import Event
from invoices.lifecycle import CLAIMABLE, Reason, State
from invoices.models import Invoice, InvoiceRequest, LegalRules, Refund
from invoices.moving import Step, move_one
from invoices.opening.facts import winning_request


def update_invoice(invoice: Invoice, requests: list[InvoiceRequest], refunds: list[Refund], *, actor: str) -> Invoice:
    """Apply all facts of the order to its invoice, in one move or none. Call under the order's lock."""
    request = winning_request(requests)
    claimed = any(r.source == InvoiceRequest.Source.CLAIM for r in requests)
    if refunds or claimed or (request and request.buyer != invoice.buyer):  # something that the payment did not contain
        step = partial(_step, request=request, claimed=claimed, refunds=refunds)
        invoice = move_one(invoice, step, actor=actor)
    if new := [r.pk for r in requests if r.invoice_id is None]:
        # The step above does not change whether the buyer is final.
        too_late = invoice.buyer_is_final
        InvoiceRequest.objects.filter(pk__in=new).update(invoice=invoice, too_late=too_late)
    return invoice


def _step(row: Invoice, *, request: InvoiceRequest | None, claimed: bool, refunds: list[Refund]) -> Step | None:
    """`request` gives the buyer. Of several events, the last one gives the step its name."""
    changes: dict[str, Any] = {}
    to, event, why = State(row.state), Event.FACT_NOTED, ""
    if request and row.buyer != request.buyer and not row.buyer_is_final:
        changes |= {"buyer": request.buyer, "buyer_source": request.source}
        event, why = Event.BUYER_CHANGED, f"by {request.source}"
    if claimed and row.state in CLAIMABLE and not (row.claimed_at or row.buyer_is_final):
        event, why = Event.CLAIMED, "by the buyer"
        changes |= {"claimed_at": clock.now()}
        if row.state == State.WAITING:
            to = State.QUEUED
            changes |= {"not_before": _end_of_claim_grace(row)}
    refunded = sum(r.amount for r in refunds)
    if refunded != row.refunded_amount:
        changes |= {"refunded_amount": refunded, "refunded_at": max(r.refunded_at for r in refunds)}
        full = any(r.full for r in refunds) or refunded >= row.sold["total"]
        to, event, why, more = _after_refund(row, full=full)
        changes |= more
    return Step(to=to, event=event, reason=why, changes=changes) if changes else None


def _end_of_claim_grace(row: Invoice) -> datetime:
    """The end of the minutes in which the buyer may edit the claim, at most the day's last moment for claims."""
    now, sale_day = clock.now(), clock.day_vn(row.paid_at)
    cutoff = max(LegalRules.on(sale_day).claim_cutoff(sale_day), now)
    return min(now + timedelta(seconds=settings.CLAIM_GRACE), cutoff)


def _after_refund(row: Invoice, *, full: bool) -> tuple[State, Event, str, dict[str, Any]]:
    """The effect of a refund, which depends on the invoice's state: state, event, reason, changes."""
    state = State(row.state)
    if state in (State.ISSUED, State.SUBMITTED):
        return state, Event.CORRECTION_OWED, "refunded after it was issued", {"correction_owed": True}
    if state in (State.SENDING, State.UNCERTAIN) or row.exposed:
        return state, Event.REFUND_NOTED, "a provider may know it: decided when its answer is recorded", {}
    if full and state in (State.WAITING, State.QUEUED, State.FAILED):
        return State.CANCELLED, Event.CANCELLED, "refunded before it was issued", {}
    if state in (State.WAITING, State.QUEUED):
        message = "Partly refunded before issue: amend the lines."
        failure = {"failure": Reason.AMENDED.value, "failure_message": message}
        return State.FAILED, Event.FAILED, "partly refunded before it was issued", failure
    return state, Event.REFUND_NOTED, "", {}
