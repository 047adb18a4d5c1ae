"""The progress of an invoice, as the claim page shows it to the buyer."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.utils.translation import gettext_lazy as _

from invoices.lifecycle import CLAIMABLE, NUMBERED, State
from invoices.models import Invoice
from invoices.operations.claim import is_open, is_requeued, may_correct_buyer

# Seconds until the page reloads without JavaScript. Its script polls more often and transfers changes only.
SOON, LATER = 10, 60

STEPS = (
    _("Details received"),
    _("Sent to the e-invoice provider"),
    _("Number and tax authority's code"),
    _("PDF and XML"),
)
COMPLETED_STEPS = {State.QUEUED: 1, State.SENDING: 1, State.UNCERTAIN: 1, State.SUBMITTED: 2, State.ISSUED: 3}


class Message(NamedTuple):
    headline: Any
    text: Any = ""


# The buyer may claim the invoice or edit the claim.
NO_BUYER_YET = Message(_("Get your invoice"), _("Please enter the buyer's details."))
BUYER_KNOWN = Message(
    _("Your invoice is being prepared"), _("It will be issued with the details below unless you change them in time.")
)
CLAIMED = Message(_("We have your details"))
BUYER_REFUSED = Message(
    _("Please check your details"),
    _("They do not meet the tax authority's requirements. Correct them and we will send the invoice again."),
)

# The window has closed and no worker has taken the invoice yet.
CLOSED = Message(_("The deadline for requesting this invoice has passed"))
CLOSED_FOR_CONSUMER = Message(CLOSED.headline, _("The invoice will be issued without a buyer's name."))
CLOSED_FOR_BUYER = Message(
    _("The deadline for changes has passed"), _("The invoice will be issued with the details below.")
)

BY_STATE = {
    State.SENDING: Message(_("Your invoice is on its way"), _("It is being issued now and can no longer be changed.")),
    State.UNCERTAIN: Message(
        _("Your invoice is on its way"),
        _("The e-invoice provider has not confirmed it yet. We keep checking; you do not need to do anything."),
    ),
    State.SUBMITTED: Message(
        _("The tax authority is checking your invoice"), _("It has a number. The tax authority's code will follow.")
    ),
    State.ISSUED: Message(_("Your invoice has been issued")),
    State.FAILED: Message(
        _("Your invoice is delayed"),
        _("It could not be issued yet; the cause is being checked. If it is urgent, please contact the seller."),
    ),
    State.CANCELLED: Message(
        _("There is no invoice for this order"), _("The order was refunded, or nothing was paid.")
    ),
    State.EXPIRED: Message(CLOSED.headline, _("It was not requested in time.")),
    State.REPLACED: Message(
        _("This invoice was replaced"),
        _("The seller has issued another invoice instead. If you have not received it, please contact the seller."),
    ),
    State.ADJUSTED: Message(
        _("This invoice was adjusted"),
        _("The seller has issued an adjustment invoice. If you have not received it, please contact the seller."),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    message: Message
    is_open: bool  # the buyer may claim or edit now
    until: datetime | None  # the end of that time, if it is known
    steps: list[tuple[Any, str]]  # name, and "done", "current" or ""
    refresh: int | None  # seconds until the page reloads
    needs_seller: bool  # only the seller can help the buyer now


def progress_of(invoice: Invoice, *, has_files: bool, now: datetime) -> Progress:
    state = State.SENDING if is_requeued(invoice) else State(invoice.state)
    open_now = is_open(invoice, now)
    return Progress(
        message=_message(invoice, state, open_now),
        is_open=open_now,
        until=_until(invoice) if open_now else None,
        steps=_steps(invoice, state, has_files),
        refresh=_refresh(state, has_files),
        needs_seller=_needs_seller(invoice, state, open_now),
    )


def _message(invoice: Invoice, state: State, open_now: bool) -> Message:
    if may_correct_buyer(invoice):
        return BUYER_REFUSED
    if state not in CLAIMABLE:
        return BY_STATE[state]
    if open_now:
        if invoice.claimed_at:
            return CLAIMED
        return BUYER_KNOWN if invoice.buyer else NO_BUYER_YET
    if invoice.buyer:
        return CLOSED_FOR_BUYER
    return CLOSED_FOR_CONSUMER if state == State.QUEUED else CLOSED


def _needs_seller(invoice: Invoice, state: State, open_now: bool) -> bool:
    if state in NUMBERED and not invoice.buyer:
        return True
    needs_seller = (*CLAIMABLE, State.EXPIRED, State.FAILED, State.CANCELLED, State.REPLACED, State.ADJUSTED)
    return state in needs_seller and not open_now


def _until(invoice: Invoice) -> datetime | None:
    """None for a claim: it may be edited until a worker takes it, at no fixed time."""
    if invoice.state == State.FAILED:
        return invoice.issue_until
    return None if invoice.claimed_at else invoice.claim_deadline


def _steps(invoice: Invoice, state: State, has_files: bool) -> list[tuple[Any, str]]:
    if not invoice.buyer or state not in COMPLETED_STEPS or has_files:
        return []
    at = COMPLETED_STEPS[state]
    return [(step, "done" if i < at else "current" if i == at else "") for i, step in enumerate(STEPS)]


def _refresh(state: State, has_files: bool) -> int | None:
    if state in (State.QUEUED, State.SENDING, State.SUBMITTED) or (state == State.ISSUED and not has_files):
        return SOON
    return LATER if state in (State.WAITING, State.UNCERTAIN, State.FAILED) else None
