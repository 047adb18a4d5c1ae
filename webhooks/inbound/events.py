"""One handler a type of event: its data in, what we answer out."""

from collections.abc import Callable
from typing import Any

from config.base import clock
from invoices.opening import facts
from invoices.opening.conclude import Opening, learn
from invoices.opening.facts import Unacceptable
from merchants.sync import changes

Data = dict[str, Any]


def payment_succeeded(data: Data, actor: str) -> Opening:
    payment, request = facts.payment(data)
    return learn(payment, request, actor=actor)


def order_refunded(data: Data, actor: str) -> Opening:
    return learn(facts.refund(data), actor=actor)


def invoice_request_created(data: Data, actor: str) -> Opening:
    return learn(facts.request(data), actor=actor)


def merchant_changed(data: Data, actor: str) -> Opening:
    try:
        changes.apply(data, source=actor)
    except changes.Unreadable as error:
        raise Unacceptable("invalid", error.field, error.message) from None
    return Opening("stored")


FROM_MERCHANTS: dict[str, Callable[[Data, str], Opening]] = {
    "payment.succeeded": payment_succeeded,
    "order.refunded": order_refunded,
    "invoice_request.created": invoice_request_created,
}
HANDLERS = {
    "internal": {**FROM_MERCHANTS, "merchant.changed": merchant_changed},
    "merchant": FROM_MERCHANTS,
}


def act(route: str, event: Data, actor: str) -> Opening:
    """Act on a verified event. Raises Unacceptable."""
    kind = event["type"]
    handler = HANDLERS[route].get(kind)
    if handler is None:
        known = ", ".join(sorted(HANDLERS[route]))
        raise Unacceptable("unknown_type", "type", f'We do not know the type "{kind}"; this route takes {known}.')
    data = event.get("data")
    if not isinstance(data, dict):
        raise Unacceptable("invalid", "data", "The data must be an object.")
    return handler(data, actor)


def answer(event_id: int, opening: Opening, order_id: str) -> Data:
    """The contract's 202 body."""
    invoice = opening.invoice
    deadline = invoice.claim_deadline if invoice else None
    return {
        "eventId": str(event_id),
        "outcome": opening.outcome,
        "invoiceId": str(invoice.pk) if invoice else None,
        "sourceId": order_id,
        "state": invoice.state if invoice else None,
        "claimUrl": invoice.claim_url if invoice and invoice.claim_token else None,
        "claimDeadline": deadline.astimezone(clock.VIETNAM).isoformat() if deadline else None,
        **({"parked": opening.parked} if opening.parked else {}),
    }
