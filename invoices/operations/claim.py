"""The buyer claims an invoice: enters the buyer's details, and may edit them until a worker takes the invoice."""

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
from invoices.opening.conclude import apply_facts, lock_order
from invoices.operations.amend import amend, check_amendable

log = get_logger(__name__)
TOKEN = re.compile(r"[A-Za-z0-9_-]{16,43}")
CLAIMED = "claimed"  # the counter's name


class UnknownToken(LookupError):
    """No invoice has this token."""


class Taken(WrongState):
    """A provider knows the invoice, or may know it: nothing may change any more."""


class Closed(WrongState):
    """The claim window has closed, or there is nothing to claim."""


def find_claimable(token: str) -> Invoice:
    """The invoice of a claim link. Raises UnknownToken."""
    if TOKEN.fullmatch(token):
        invoice = Invoice.objects.not_deleted().select_related("merchant").filter(claim_token=token).first()
        if invoice:
            return invoice
    raise UnknownToken


def check_open(invoice: Invoice, now: datetime) -> None:
    """Raises Taken or Closed if the buyer may neither claim the invoice nor edit the claim.

    A buyer who claimed in time may edit until a worker first takes the invoice. An invoice that was queued because the
    window closed will be issued to the consumer: it is too late for a claim, even before it is taken.
    """
    if may_correct_buyer(invoice):
        return
    in_time = invoice.claim_deadline is not None and invoice.claim_deadline > now
    if invoice.state in CLAIMABLE and not invoice.buyer_is_final and (in_time or invoice.claimed_at):
        return
    if invoice.state in UNEXPOSED and not is_requeued(invoice):
        raise Closed(f"Order {invoice.order_id} can no longer be claimed.")
    raise Taken(f"Order {invoice.order_id} is {invoice.state}. Its buyer can no longer change.")


def may_correct_buyer(invoice: Invoice) -> bool:
    """The provider refused the buyer's details, and the buyer may amend them."""
    try:
        check_amendable(invoice, by_buyer=True, lines=False)
    except WrongState:
        return False
    return invoice.failure_field.startswith("buyer.")


def is_requeued(invoice: Invoice) -> bool:
    """Due again after it was taken or amended: its buyer is final."""
    return invoice.state == State.QUEUED and invoice.buyer_is_final


def is_open(invoice: Invoice, now: datetime) -> bool:
    try:
        check_open(invoice, now)
    except WrongState:
        return False
    return True


def claim(token: str, raw_buyer: Any) -> Invoice:
    """Claim an invoice, edit the claim, or correct a refused buyer.

    Raises UnknownToken, Taken, Closed, WrongState, buyers.InvalidBuyer.
    """
    invoice = find_claimable(token)
    check_open(invoice, clock.now())  # before parsing: "too late" takes precedence over errors in the form
    buyer = buyers.parse_buyer(raw_buyer)
    with transaction.atomic():
        lock_order(invoice.merchant.code, invoice.order_id)
        # Takes and closing windows lock the row, not the order. With both locks the check holds until the commit.
        locked = Invoice.objects.select_for_update(no_key=True).get(pk=invoice.pk)
        now = clock.now()
        check_open(locked, now)
        request = InvoiceRequest(
            merchant_code=invoice.merchant.code,
            order_id=invoice.order_id,
            request_id=f"claim:{uuid.uuid4()}",
            source=InvoiceRequest.Source.CLAIM,
            requested_at=_after_earlier_claims(locked, now),
            buyer=buyer,
        )
        if locked.state == State.FAILED:
            request.invoice = locked
            request.save()
            claimed: Invoice | None = amend(locked, actor="buyer", reason="corrected by the buyer", buyer=buyer)
        else:
            claimed = apply_facts(request, actor="buyer").invoice
        counters.count({(CLAIMED, "edited" if locked.claimed_at else "first"): 1})
    assert claimed is not None
    log.info("[claimed]", edited=locked.claimed_at is not None, **invoice.about)
    return claimed


def _after_earlier_claims(invoice: Invoice, now: datetime) -> datetime:
    """Now, or just after the last claim: the later claim wins even if the clocks of two servers differ."""
    claims = InvoiceRequest.objects.filter(
        merchant_code=invoice.merchant.code, order_id=invoice.order_id, source=InvoiceRequest.Source.CLAIM
    )
    last = claims.aggregate(last=models.Max("requested_at"))["last"]
    return max(now, last + timedelta(microseconds=1)) if last else now
