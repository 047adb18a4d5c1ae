"""How far an invoice is, in the buyer's words."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_lazy as _

from invoices.lifecycle import CLAIMABLE, NUMBERED, State
from invoices.models import Invoice
from invoices.operations.claim import is_between_sends, is_open, may_mend

SOON, LATER = 10, 60  # seconds until the page reloads itself; its script looks oftener, and at what changed only

STEPS = (
    _("Details received"),
    _("Sent to the e-invoice provider"),
    _("Number and tax authority's code"),
    _("PDF and XML"),
)
DONE = {State.QUEUED: 1, State.SENDING: 1, State.UNCERTAIN: 1, State.SUBMITTED: 2, State.ISSUED: 3}  # steps of these

ON_ITS_WAY = _("Your invoice is on its way")
TOLD = {
    State.SENDING: (ON_ITS_WAY, _("It is being issued now and can no longer change.")),
    State.UNCERTAIN: (
        ON_ITS_WAY,
        _("The provider has not confirmed it yet. We keep asking; you need not do anything."),
    ),
    State.SUBMITTED: (_("The tax authority is checking it"), _("It has a number. The tax authority's code follows.")),
    State.ISSUED: (_("Your invoice is issued"), ""),
    State.FAILED: (
        _("The seller is looking into it"),
        _("The invoice could not be issued yet and somebody is looking at why. In a hurry, please ask the seller."),
    ),
    State.CANCELLED: (_("There is no invoice for this order"), _("The order was refunded, or nothing was paid.")),
    State.EXPIRED: (_("The time to claim is over"), _("Nobody claimed this invoice in time.")),
    State.REPLACED: (
        _("This invoice was replaced"),
        _("The seller issued another one instead. Please ask them for it if you did not get it."),
    ),
    State.ADJUSTED: (
        _("This invoice was adjusted"),
        _("The seller issued an adjustment to it. Please ask them for it if you did not get it."),
    ),
}
OPEN = (_("Get your invoice"), _("Tell us whom it is for."))
KNOWN = (_("Your invoice is prepared"), _("It is issued to these details unless you change them in time."))
CLAIMED = (_("We have your details"), "")
REFUSED = (
    _("Please check your details"),
    _("The tax authority's rules do not accept them as they are. Mend them and the invoice is sent again."),
)
JUST_OVER = (_("The time to claim is over"), "")
TOO_LATE = (_("The time to claim is over"), _("The invoice is issued without a buyer's name."))
TOO_LATE_KNOWN = (_("The time to change is over"), _("The invoice is issued to the details below."))

HELPS = (State.EXPIRED, State.FAILED, State.CANCELLED, State.REPLACED, State.ADJUSTED)


@dataclass(frozen=True, slots=True)
class Progress:
    headline: Any
    text: Any
    is_open: bool  # for a claim or an edit
    until: datetime | None  # the last moment of that, where it is known
    steps: list[tuple[Any, str]]  # what, and "done", "current" or ""
    refresh: int | None  # seconds
    is_late: bool  # the buyer can only turn to the seller


def progress_of(invoice: Invoice, *, has_files: bool, now: datetime) -> Progress:
    state = State.SENDING if is_between_sends(invoice) else State(invoice.state)
    open_now = is_open(invoice, now)
    headline: Any
    text: Any
    if may_mend(invoice):
        headline, text = REFUSED
    elif state not in CLAIMABLE:
        headline, text = TOLD[state]
    elif open_now:
        headline, text = CLAIMED if invoice.claimed_at else KNOWN if invoice.buyer else OPEN
    else:
        headline, text = TOO_LATE_KNOWN if invoice.buyer else TOO_LATE if state == State.QUEUED else JUST_OVER
    return Progress(
        headline,
        text,
        is_open=open_now,
        until=_until(invoice) if open_now else None,
        steps=_steps(invoice, state, has_files),
        refresh=_refresh(state, has_files),
        is_late=(state in HELPS and not open_now)
        or (state in CLAIMABLE and not open_now)
        or (state in NUMBERED and not invoice.buyer),
    )


def _until(invoice: Invoice) -> datetime | None:
    """A claim may be edited until a worker takes it; that is told in other words."""
    if invoice.state == State.FAILED:
        return invoice.issue_until
    return None if invoice.claimed_at else invoice.claim_deadline


def _steps(invoice: Invoice, state: State, has_files: bool) -> list[tuple[Any, str]]:
    if not invoice.buyer or state not in DONE or has_files:
        return []
    at = DONE[state]
    return [(step, "done" if i < at else "current" if i == at else "") for i, step in enumerate(STEPS)]


def _refresh(state: State, has_files: bool) -> int | None:
    if state in (State.QUEUED, State.SENDING, State.SUBMITTED) or (state == State.ISSUED and not has_files):
        return SOON
    return LATER if state in (State.WAITING, State.UNCERTAIN, State.FAILED) else None
