"""Apply events: one function per event type, which takes the data and returns the result."""

from collections.abc import Callable
from typing import Any

from config.base import clock
from invoices.opening import facts
from invoices.opening.conclude import OpeningResult, apply_facts
from invoices.opening.facts import Unacceptable
from merchants.sync import apply_changes

Data = dict[str, Any]


def payment_succeeded(data: Data, actor: str) -> OpeningResult:
    payment, request = facts.parse_payment(data)
    return apply_facts(payment, request, actor=actor)


def order_refunded(data: Data, actor: str) -> OpeningResult:
    return apply_facts(facts.parse_refund(data), actor=actor)


def invoice_request_created(data: Data, actor: str) -> OpeningResult:
    return apply_facts(facts.parse_request(data), actor=actor)


def merchant_changed(data: Data, actor: str) -> OpeningResult:
    try:
        apply_changes.apply_envelope(data, source=actor)
    except apply_changes.Unreadable as error:
        raise Unacceptable("invalid", error.field, error.message) from None
    return OpeningResult("stored")


MERCHANT_EVENTS: dict[str, Callable[[Data, str], OpeningResult]] = {
    "payment.succeeded": payment_succeeded,
    "order.refunded": order_refunded,
    "invoice_request.created": invoice_request_created,
}
EVENTS_OF_ROUTE = {
    "internal": {**MERCHANT_EVENTS, "merchant.changed": merchant_changed},
    "merchant": MERCHANT_EVENTS,
}


def apply_event(route: str, event: Data, actor: str) -> OpeningResult:
    """Apply a verified event. Raises Unacceptable."""
    kind = event["type"]
    apply_data = EVENTS_OF_ROUTE[route].get(kind)
    if apply_data is None:
        known = ", ".join(sorted(EVENTS_OF_ROUTE[route]))
        raise Unacceptable("unknown_type", "type", f'The type "{kind}" is unknown; this route takes {known}.')
    data = event.get("data")
    if not isinstance(data, dict):
        raise Unacceptable("invalid", "data", "The data must be an object.")
    return apply_data(data, actor)


def response_body(event_id: int, result: OpeningResult, order_id: str) -> Data:
    """The body of the 202 response."""
    invoice = result.invoice
    deadline = invoice.claim_deadline if invoice else None
    return {
        "eventId": str(event_id),
        "outcome": result.outcome,
        "invoiceId": str(invoice.pk) if invoice else None,
        "sourceId": order_id,
        "state": invoice.state if invoice else None,
        "claimUrl": invoice.claim_url if invoice and invoice.claim_token else None,
        "claimDeadline": deadline.astimezone(clock.VIETNAM).isoformat() if deadline else None,
        **({"parked": result.parked} if result.parked else {}),
    }
