"""A sale or a buyer that a merchant's backend tells us without an event. The same word twice is one word."""

from typing import Any

from django.db import transaction

from config.rest.identity import Principal
from config.rest.problems import Problem, at_fault
from invoices.models import Invoice, InvoiceRequest, Payment
from invoices.opening import facts, money
from invoices.opening.conclude import OpeningResult, conclude, apply_facts, lock_order
from invoices.opening.facts import Unacceptable

NO_PAYMENT = "api"  # the paymentId of a sale that named none


def open_sale(data: Any, principal: Principal) -> OpeningResult:
    """The sale's invoice: `opened`, `not_required` or `parked` where it is new, `exists` where it was told before.

    Raises Problem: 409 `order_conflict` where the order is known with another sale.
    """
    payment, request = _fact(facts.payment, {"paymentId": NO_PAYMENT, **_object(data)}, principal)
    with transaction.atomic():
        lock_order(payment.merchant_code, payment.order_id)
        of_order = {"merchant_code": payment.merchant_code, "order_id": payment.order_id}
        known = Payment.objects.filter(**of_order, problem="").order_by("id").first()  # of those that add up
        try:
            if known is None:
                return apply_facts(payment, request, actor=principal.actor)
            if _sale(known) != _sale(payment) or _buyer_told(known) != request.buyer or _is_deleted(known):
                told = "This order is known with another sale; nothing was changed."
                raise Problem(409, "order_conflict", told)
            return conclude(**of_order, actor=principal.actor, told=[known])  # a parked one may open by now
        except Unacceptable as error:
            raise at_fault(error.field, error.message, error.code) from None


def store_request(data: Any, principal: Principal) -> tuple[InvoiceRequest, bool]:
    """The request, and whether it is new. Raises Problem: 409 `request_conflict` where its id had other words."""
    request = _fact(facts.request, {"source": "api", **_object(data)}, principal)
    same = {"merchant_code": request.merchant_code, "order_id": request.order_id, "request_id": request.request_id}
    with transaction.atomic():
        lock_order(request.merchant_code, request.order_id)
        known = InvoiceRequest.objects.filter(**same).first()
        if known is None:
            apply_facts(request, actor=principal.actor)
            return InvoiceRequest.objects.get(**same), True
    if (known.buyer, known.source, known.requested_at) != (request.buyer, request.source, request.requested_at):
        raise Problem(409, "request_conflict", "This request is known with other words; nothing was changed.")
    return known, False


def _fact(read: Any, data: dict[str, Any], principal: Principal) -> Any:
    """The fact of a body, of a merchant that the caller speaks for."""
    try:
        code = facts.identifier(data, "merchantId")
        if not principal.acts_for(code):
            raise Problem(403, "other_merchant", "Your token does not speak for this merchant.")
        return read(data)
    except Unacceptable as error:
        raise at_fault(error.field, error.message, error.code) from None


def _object(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise at_fault("body", "This must be an object.")
    return data


def _sale(payment: Payment) -> tuple[Any, ...]:
    """What makes two words of a sale the same."""
    body = payment.body
    lines = money.parse_lines(body["lines"])
    told = (body["total"], body.get("discount") or 0, body["pricesIncludeVat"], body["paymentMethod"])
    return payment.paid_at, lines, *told


def _buyer_told(payment: Payment) -> dict[str, str]:
    """The buyer that came with a payment, whoever was heard since."""
    request_id = f"payment:{payment.payment_id}"[: facts.ID_LENGTH]
    of_payment = {"merchant_code": payment.merchant_code, "order_id": payment.order_id, "request_id": request_id}
    return InvoiceRequest.objects.filter(**of_payment).values_list("buyer", flat=True).first() or {}


def _is_deleted(payment: Payment) -> bool:
    of_order = Invoice.objects.filter(merchant__code=payment.merchant_code, order_id=payment.order_id)
    return of_order.filter(document_no=1, deleted_at__isnull=False).exists()
