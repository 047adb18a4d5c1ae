"""Attempts in each state of knowledge, by the product's own take, sweep and record; no call is made."""

from datetime import datetime, timedelta
from typing import Any

from config.base import clock
from invoices.issuing.calls import Answer, Call, FinishedCall, limits_of
from invoices.issuing.lookups import build_lookups
from invoices.issuing.record import record
from invoices.issuing.take import commit_to_send
from invoices.lifecycle import State
from invoices.models import Invoice, InvoiceIssuance
from invoices.providers.base import Issued, Refused, Scope, Unavailable, Uncertain
from invoices.upkeep.sweep import mark_abandoned
from merchants.models import Merchant
from tests import cast

NOT_FOUND = None
REFUSED = Refused("TAX_CODE_INVALID", "unknown", scope=Scope.ORDER, field="buyer.tax_code")
NO_NUMBERS = Refused("OUT_OF_INVOICE_NO", scope=Scope.ACCOUNT)
FAILURES = [REFUSED, NO_NUMBERS, Unavailable("timeout"), Uncertain("http_500")]
SETTLE = timedelta(seconds=limits_of("viettel").settle)


def issued(number: str = "7", symbol: str = "C26TAA", **more: Any) -> Issued:
    return Issued(number=number, symbol=symbol, **{"code": f"00A{number}", **more})


def send(invoice: Invoice) -> Call:
    """Take it, as a worker does. The call is not made."""
    row = Invoice.objects.select_related("account").get(pk=invoice.pk)
    (call,) = commit_to_send([row.pk], {row.account_id: row.account}, 0.0)
    return call


def finish(call: Call, answer: Answer, at: datetime | None = None) -> FinishedCall:
    return FinishedCall(call, answer, at or clock.now(), {"status": 200})


def look_up(call: Call, answer: Answer, *, begun: datetime, ended: datetime | None = None) -> Invoice:
    """A look-up of that call's attempt."""
    (lookup,) = build_lookups([call.issuance_id], begun)
    with clock.frozen(ended or begun):
        record([finish(lookup, answer)])
    return Invoice.objects.get(pk=call.invoice_id)


def attempt(call: Call) -> InvoiceIssuance:
    return InvoiceIssuance.objects.get(pk=call.issuance_id)


def after(call: Call, answer: Answer) -> Invoice:
    record([finish(call, answer)])
    return Invoice.objects.get(pk=call.invoice_id)


def in_doubt(merchant: Merchant | None = None) -> Call:
    """UNCERTAIN: its worker recorded no answer."""
    call = send(cast.queued(merchant))
    with clock.frozen(attempt(call).last_byte_by + timedelta(minutes=1)):
        mark_abandoned()
    assert Invoice.objects.get(pk=call.invoice_id).state == State.UNCERTAIN
    return call


def proven_absent(merchant: Merchant | None = None) -> tuple[Call, datetime]:
    """QUEUED again: the call of its first attempt, and when two look-ups had found nothing."""
    call = in_doubt(merchant)
    first = attempt(call).last_byte_by + SETTLE
    look_up(call, NOT_FOUND, begun=first)
    assert look_up(call, NOT_FOUND, begun=first + SETTLE).state == State.QUEUED
    return call, first + SETTLE
