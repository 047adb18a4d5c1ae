"""Sales and buyer details that a merchant's backend posts without an event. A repeated post changes nothing."""

from typing import Any

from django.db import transaction

from config.rest.identity import Principal
from config.rest.problems import Problem, field_problem
from invoices.models import Invoice, InvoiceRequest, Payment
from invoices.opening import facts, money
from invoices.opening.conclude import OpeningResult, apply_facts, conclude, lock_order
from invoices.opening.facts import Unacceptable

API_PAYMENT_ID = "api"  # the paymentId of a sale that was posted without one


def open_sale(data: Any, principal: Principal) -> OpeningResult:
    """Open the sale's invoice: `opened`, `not_required` or `parked` if the sale is new, else `exists`.

    Raises Problem: 409 `order_conflict` if the order has a different sale, or if its invoice was deleted.
    """
    sale = {"paymentId": API_PAYMENT_ID, **_require_object(data)}
    payment, request = _parse_fact(facts.parse_payment, sale, principal)
    with transaction.atomic():
        lock_order(payment.merchant_code, payment.order_id)
        of_order = {"merchant_code": payment.merchant_code, "order_id": payment.order_id}
        known = Payment.objects.filter(**of_order, problem="").order_by("id").first()  # one that adds up
        try:
            if known is None:
                return apply_facts(payment, request, actor=principal.actor)
            if _comparable(known) != _comparable(payment) or _buyer_of_payment(known) != request.buyer:
                message = "This order exists with a different sale. Nothing was changed."
                raise Problem(409, "order_conflict", message)
            if _invoice_is_deleted(known):
                raise Problem(409, "order_conflict", "This order's invoice was deleted.")
            return conclude(**of_order, actor=principal.actor, new_facts=[known])  # a parked one may open by now
        except Unacceptable as error:
            raise field_problem(error.field, error.message, error.code) from None


def store_request(data: Any, principal: Principal) -> tuple[InvoiceRequest, bool]:
    """The request, and whether it is new. Raises Problem: 409 `request_conflict` if its id has other content."""
    request = _parse_fact(facts.parse_request, {"source": "api", **_require_object(data)}, principal)
    same = {"merchant_code": request.merchant_code, "order_id": request.order_id, "request_id": request.request_id}
    with transaction.atomic():
        lock_order(request.merchant_code, request.order_id)
        known = InvoiceRequest.objects.filter(**same).first()
        if known is None:
            apply_facts(request, actor=principal.actor)
            return InvoiceRequest.objects.get(**same), True
    if (known.buyer, known.source, known.requested_at) != (request.buyer, request.source, request.requested_at):
        raise Problem(409, "request_conflict", "This request exists with different content. Nothing was changed.")
    return known, False


def _parse_fact(parse: Any, data: dict[str, Any], principal: Principal) -> Any:
    """Parse a body. Raises Problem if it is invalid, or if the caller may not act for its merchant."""
    try:
        code = facts.parse_identifier(data, "merchantId")
        if not principal.may_act_for(code):
            raise Problem(403, "other_merchant", "Your token may not act for this merchant.")
        return parse(data)
    except Unacceptable as error:
        raise field_problem(error.field, error.message, error.code) from None


def _require_object(data: Any) -> dict[str, Any]:
    """The body. Raises Problem if it is not a JSON object."""
    if not isinstance(data, dict):
        raise field_problem("body", "This must be an object.")
    return data


def _comparable(payment: Payment) -> tuple[Any, ...]:
    """Two sales are the same if these values are equal."""
    body = payment.body
    lines = money.parse_lines(body["lines"])
    terms = (body["total"], body.get("discount") or 0, body["pricesIncludeVat"], body["paymentMethod"])
    return payment.paid_at, lines, *terms


def _buyer_of_payment(payment: Payment) -> dict[str, str]:
    """The buyer details that came with a payment; later requests do not count."""
    request_id = f"payment:{payment.payment_id}"[: facts.ID_LENGTH]
    of_payment = {"merchant_code": payment.merchant_code, "order_id": payment.order_id, "request_id": request_id}
    return InvoiceRequest.objects.filter(**of_payment).values_list("buyer", flat=True).first() or {}


def _invoice_is_deleted(payment: Payment) -> bool:
    """Whether the invoice of the payment's order was deleted."""
    of_order = Invoice.objects.filter(merchant__code=payment.merchant_code, order_id=payment.order_id)
    return of_order.filter(document_no=1, deleted_at__isnull=False).exists()
