"""Whether each invoice ended as expected from its facts and from what its audit says was done."""

from typing import TYPE_CHECKING, Any

from invoices.lifecycle import NUMBERED, Reason, State
from invoices.models import InvoiceRequest
from merchants.models import Merchant
from tests import cast
from tests.simulation.invariants.answers import AuditTrail

if TYPE_CHECKING:
    from tests.simulation.invariants.rows import Row
    from tests.simulation.world.world import World

ENDED_HERE = (None, State.FAILED, State.CANCELLED)  # states before a conflict; None: it was FAILED already
PRECEDENCE = {"payment": 0, "checkout": 1, "api": 1, "claim": 2}


def unexpected_end(world: "World", trails: dict[int, AuditTrail]) -> str:
    """The first invoice that ended otherwise, and how; "" if none did."""
    sales = {(sale["merchantId"], sale["orderId"]): sale for sale in world.sales}
    merchants = {merchant.pk: merchant for merchant in world.merchants.values()}
    for row in world.rows:
        merchant = merchants[row.merchant_id]
        paid = sales[merchant.code, row.order_id]["total"]
        problem = _check_state(world, row, merchant, trails[row.id], paid) or _check_total(trails[row.id], paid)
        if not problem and row.state in NUMBERED:
            problem = _check_buyer(world, row, merchant, trails[row.id])
        if problem:
            return f"{row.order_id} ({row.state} {row.failure}) {problem}"
    return ""


def _check_state(world: "World", row: "Row", merchant: Merchant, trail: AuditTrail, paid: int) -> str:
    if row.state == State.CANCELLED:
        by_operator = any(step["eventType"] == "cancelled" and step["actor"].startswith("user:") for step in trail)
        if row.total and row.refunded_amount < paid and not by_operator:
            return f"was cancelled, yet only {row.refunded_amount} of {paid} was refunded and no operator cancelled it"
    if row.state == State.EXPIRED:
        expired = next(at for at, step in enumerate(trail) if step["after"].get("state") == State.EXPIRED)
        named = [step["eventType"] == "buyer_changed" for step in trail]
        known = any(named[:expired]) or (row.buyer_name and not any(named))  # a buyer may still be named afterwards
        if merchant.unclaimed != Merchant.Unclaimed.LAPSE or known:
            return "expired although its buyer was known or its merchant's policy is not to lapse"
    if row.failure == Reason.CONFLICT:
        last = [step for step in trail if step["eventType"] == "conflict"][-1]
        booked = world.vendor.known(row.reference)
        same = len(booked) == 1 and booked[0].document == row.document
        if last["before"].get("state") not in ENDED_HERE and same:
            return "is in conflict, yet the provider has exactly what we sent, once"
    return ""


def _check_total(trail: AuditTrail, paid: int) -> str:
    """At each take the total must be what was paid minus what had been refunded by then."""
    known: dict[str, Any] = {"refunded_amount": 0}
    for step in trail:
        known |= step["after"]
        if step["eventType"] == "taken" and known["total"] != paid - known["refunded_amount"]:
            return f"was sent for {known['total']} when {known['refunded_amount']} of {paid} had been refunded"
    return ""


def _check_buyer(world: "World", row: "Row", merchant: Merchant, trail: AuditTrail) -> str:
    """The request of highest precedence before the first take, unless it was amended later or fell back to the
    consumer."""
    requests = list(InvoiceRequest.objects.filter(merchant_code=merchant.code, order_id=row.order_id))
    in_time = [request for request in requests if request.buyer and not request.too_late]
    winning = max(in_time, key=lambda r: (PRECEDENCE[r.source], r.requested_at.timestamp(), r.request_id), default=None)
    expected = {winning.buyer["name"] if winning else ""}
    for step in trail:
        if step["eventType"] == "consumer_fallback":
            expected = {""}
        elif step["eventType"] == "amended" and {"buyer", "buyer_source"} & step["after"].keys():
            claimed = {request.buyer["name"] for request in requests if request.source == "claim"}
            expected = claimed if step["actor"] == "buyer" else {cast.PERSON["name"]}
    buyer = world.vendor.live(row.reference)[0].content["buyer"]
    printed = "" if buyer["is_consumer"] else buyer["legal_name"] or buyer["name"]
    if printed != row.buyer_name or printed not in expected:
        return f"was issued to {printed or 'the consumer'}, here {row.buyer_name or 'the consumer'}, and not {expected}"
    return ""
