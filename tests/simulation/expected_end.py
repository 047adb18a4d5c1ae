"""Whether each invoice came to the end that its facts deserve: by what was told and what the audit says was done."""

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from invoices.lifecycle import NUMBERED, Reason, State
from invoices.models import InvoiceAuditTracing, InvoiceRequest
from merchants.models import Merchant
from tests import cast

if TYPE_CHECKING:
    from tests.simulation.invariants import Row
    from tests.simulation.world import World

AuditTrail = list[dict[str, Any]]  # the audit of one invoice
ENDED_HERE = (None, State.FAILED, State.CANCELLED)  # where a conflict came from; None: it stayed FAILED
RANK = {"payment": 0, "checkout": 1, "api": 1, "claim": 2}


def unexpected_end(world: "World") -> str:
    """What is wrong, or ""."""
    told: dict[int, AuditTrail] = defaultdict(list)
    for tracing in InvoiceAuditTracing.objects.filter(invoice__in=[row.id for row in world.rows]).order_by("seq"):
        told[tracing.invoice_id].append(tracing.content)
    sales = {(sale["merchantId"], sale["orderId"]): sale for sale in world.sales}
    merchants = {merchant.pk: merchant for merchant in world.merchants.values()}
    for row in world.rows:
        merchant = merchants[row.merchant_id]
        paid = sales[merchant.code, row.order_id]["total"]
        problem = _end(world, row, merchant, told[row.id], paid) or _total(told[row.id], paid)
        if not problem and row.state in NUMBERED:
            problem = _buyer(world, row, merchant, told[row.id])
        if problem:
            return f"{row.order_id} ({row.state} {row.failure}) {problem}"
    return ""


def _end(world: "World", row: "Row", merchant: Merchant, story: AuditTrail, paid: int) -> str:
    if row.state == State.CANCELLED:
        by_operator = any(step["eventType"] == "cancelled" and step["actor"].startswith("user:") for step in story)
        if row.total and row.refunded_amount < paid and not by_operator:
            return f"was cancelled, yet only {row.refunded_amount} of {paid} went back and nobody asked for it"
    if row.state == State.EXPIRED:
        lapsed = next(at for at, step in enumerate(story) if step["after"].get("state") == State.EXPIRED)
        named = [step["eventType"] == "buyer_changed" for step in story]
        known = any(named[:lapsed]) or (row.buyer_name and not any(named))  # a buyer may still be named afterwards
        if merchant.unclaimed != Merchant.Unclaimed.LAPSE or known:
            return "expired although it was owed to somebody"
    if row.failure == Reason.CONFLICT:
        last = [step for step in story if step["eventType"] == "conflict"][-1]
        booked = world.vendor.known(row.reference)
        same = len(booked) == 1 and booked[0].document == row.document
        if last["before"].get("state") not in ENDED_HERE and same:
            return "is in conflict, yet the provider has what we sent, and once"
    return ""


def _total(story: AuditTrail, paid: int) -> str:
    """At each take the invoice must leave out what had gone back by then."""
    known: dict[str, Any] = {"refunded_amount": 0}
    for step in story:
        known |= step["after"]
        if step["eventType"] == "taken" and known["total"] != paid - known["refunded_amount"]:
            return f"was sent for {known['total']} when {known['refunded_amount']} of {paid} had gone back"
    return ""


def _buyer(world: "World", row: "Row", merchant: Merchant, story: AuditTrail) -> str:
    """The heaviest word before the first take, unless it was amended since or had to give way."""
    requests = list(InvoiceRequest.objects.filter(merchant_code=merchant.code, order_id=row.order_id))
    in_time = [request for request in requests if request.buyer and not request.too_late]
    heaviest = max(in_time, key=lambda r: (RANK[r.source], r.requested_at.timestamp(), r.request_id), default=None)
    wanted = {heaviest.buyer["name"] if heaviest else ""}
    for step in story:
        if step["eventType"] == "consumer_fallback":
            wanted = {""}
        elif step["eventType"] == "amended" and {"buyer", "buyer_source"} & step["after"].keys():
            claimed = {request.buyer["name"] for request in requests if request.source == "claim"}
            wanted = claimed if step["actor"] == "buyer" else {cast.PERSON["name"]}
    buyer = world.vendor.live(row.reference)[0].content["buyer"]
    printed = "" if buyer["is_consumer"] else buyer["legal_name"] or buyer["name"]
    if printed != row.buyer_name or printed not in wanted:
        return f"was issued to {printed or 'the consumer'}, here {row.buyer_name or 'the consumer'}, and not {wanted}"
    return ""
