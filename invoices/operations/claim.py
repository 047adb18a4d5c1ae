"""The buyer says who they are: claim, edit until it is taken, and what becomes of a sale that nobody claimed."""

import re
import uuid
from datetime import datetime, timedelta
from typing import Any

from django.db import models, transaction
from structlog.stdlib import get_logger

from config.base import clock
from config.monitoring import counters
from invoices.lifecycle import CLAIMABLE, UNEXPOSED, State, WrongState
from invoices.models import Invoice, InvoiceRequest
from invoices.opening import buyers
from invoices.opening.conclude import learn, lock_order
from invoices.operations.amend import amend, check_amendable

log = get_logger(__name__)
TOKEN = re.compile(r"[A-Za-z0-9_-]{16,43}")
CLAIMED = "claimed"  # the tally's name


class Unknown(LookupError):
    """No invoice has this token."""


class Taken(WrongState):
    """A provider may know the invoice, or knows it: nothing may change any more."""


class Closed(WrongState):
    """The time to claim is over, or nothing is left to claim."""


def find(token: str) -> Invoice:
    """The invoice of a claim link, by one look into a unique index. Raises Unknown."""
    if TOKEN.fullmatch(token):
        invoice = Invoice.objects.living().select_related("merchant").filter(claim_token=token).first()
        if invoice:
            return invoice
    raise Unknown


def check_open(invoice: Invoice, now: datetime) -> None:
    """May the buyer still say who they are? Raises Taken or Closed.

    Who claimed in time may edit until a worker first takes the invoice. One that is queued because the window closed
    is on its way to the consumer: too late, though nobody took it yet.
    """
    if may_mend(invoice):
        return
    in_time = invoice.claim_deadline is not None and invoice.claim_deadline > now
    if invoice.state in CLAIMABLE and not invoice.buyer_stands and (in_time or invoice.claimed_at):
        return
    if invoice.state in UNEXPOSED and not is_between_sends(invoice):
        raise Closed(f"Order {invoice.order_id} can no longer be claimed.")
    raise Taken(f"Order {invoice.order_id} is {invoice.state}: its buyer can no longer change.")


def may_mend(invoice: Invoice) -> bool:
    """The provider refused the buyer's own details, and they may be amended."""
    try:
        check_amendable(invoice, by_buyer=True, lines=False)
    except WrongState:
        return False
    return invoice.failure_field.startswith("buyer.")


def is_between_sends(invoice: Invoice) -> bool:
    """Taken once, not heard by the provider, or amended, and due again: what will be sent stands."""
    return invoice.state == State.QUEUED and invoice.buyer_stands


def is_open(invoice: Invoice, now: datetime) -> bool:
    try:
        check_open(invoice, now)
    except WrongState:
        return False
    return True


def claim(token: str, raw_buyer: Any) -> Invoice:
    """Claim an invoice, or edit a claim that nobody took yet.

    Raises Unknown, WrongState (Closed: too late; else it stands as it is), buyers.InvalidBuyer.
    """
    invoice = find(token)
    check_open(invoice, clock.now())  # nobody should mend a form that comes too late anyway
    buyer = buyers.parse(raw_buyer)
    with transaction.atomic():
        lock_order(invoice.merchant.code, invoice.order_id)
        # Taking and expiry lock the row, not the order: with both held, what is checked stays so until it is stored.
        locked = Invoice.objects.select_for_update(no_key=True).get(pk=invoice.pk)
        now = clock.now()
        check_open(locked, now)
        said = InvoiceRequest(
            merchant_code=invoice.merchant.code,
            order_id=invoice.order_id,
            request_id=f"claim:{uuid.uuid4()}",
            source=InvoiceRequest.Source.CLAIM,
            requested_at=_after_earlier_claims(locked, now),
            buyer=buyer,
        )
        if locked.state == State.FAILED:
            said.invoice = locked
            said.save()
            claimed: Invoice | None = amend(locked, actor="buyer", reason="mended by the buyer", buyer=buyer)
        else:
            claimed = learn(said, actor="buyer").invoice
        counters.add({(CLAIMED, "edited" if locked.claimed_at else "first"): 1})
    assert claimed is not None
    log.info("[claimed]", edited=locked.claimed_at is not None, **invoice.about)
    return claimed


def _after_earlier_claims(invoice: Invoice, now: datetime) -> datetime:
    """The later word wins, and an edit is later than what it edits, whatever the clocks of two servers say."""
    claims = InvoiceRequest.objects.filter(
        merchant_code=invoice.merchant.code, order_id=invoice.order_id, source=InvoiceRequest.Source.CLAIM
    )
    last = claims.aggregate(last=models.Max("requested_at"))["last"]
    return max(now, last + timedelta(microseconds=1)) if last else now
