"""Parse the contract's event data into facts of an order, checked and not saved. Raises Unacceptable."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime

from invoices.models import InvoiceRequest, Payment, Refund
from invoices.opening import buyers, money

Fact = Payment | Refund | InvoiceRequest
ID_LENGTH = 64


class Unacceptable(ValueError):
    """Data that cannot be used: a stable `code`, the JSON `field`, a `message` for people."""

    def __init__(self, code: str, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.code, self.field, self.message = code, field, message


def parse_payment(data: dict[str, Any]) -> tuple[Payment, InvoiceRequest]:
    """`payment.succeeded`: the payment, and its buyer as a request (an empty buyer is the consumer)."""
    if data.get("currency", "VND") != "VND":
        raise Unacceptable("currency", "currency", "Only VND can be invoiced.")
    _typed(data, "pricesIncludeVat", bool)
    _money(data, "total")
    _money(data, "discount", optional=True)
    parse_identifier(data, "paymentMethod", 50)
    try:
        money.parse_lines(data.get("lines"))
    except money.DoesNotAddUp as error:
        raise Unacceptable("does_not_add_up", error.field, error.message) from None
    fact = Payment(
        merchant_code=parse_identifier(data, "merchantId"),
        order_id=parse_identifier(data, "orderId"),
        payment_id=parse_identifier(data, "paymentId"),
        paid_at=_instant(data, "paidAt"),
        body=data,
    )
    request = InvoiceRequest(
        merchant_code=fact.merchant_code,
        order_id=fact.order_id,
        request_id=f"payment:{fact.payment_id}"[:ID_LENGTH],
        source=InvoiceRequest.Source.PAYMENT,
        requested_at=fact.paid_at,
        buyer=_buyer(data["buyer"]) if data.get("buyer") else {},
    )
    return fact, request


def parse_refund(data: dict[str, Any]) -> Refund:
    """`order.refunded`."""
    return Refund(
        merchant_code=parse_identifier(data, "merchantId"),
        order_id=parse_identifier(data, "orderId"),
        refund_id=parse_identifier(data, "refundId"),
        refunded_at=_instant(data, "refundedAt"),
        amount=_money(data, "amount"),
        full=_typed(data, "full", bool),
        reason=str(data.get("reason") or "")[:500],
    )


def parse_request(data: dict[str, Any]) -> InvoiceRequest:
    """`invoice_request.created`."""
    source = parse_identifier(data, "source")
    if source not in ("checkout", "api"):
        raise Unacceptable("invalid", "source", f'The source is "{source}"; it must be "checkout" or "api".')
    return InvoiceRequest(
        merchant_code=parse_identifier(data, "merchantId"),
        order_id=parse_identifier(data, "orderId"),
        request_id=parse_identifier(data, "requestId"),
        source=source,
        requested_at=_instant(data, "requestedAt"),
        buyer=_buyer(data.get("buyer")),
    )


def winning_request(requests: Sequence[InvoiceRequest]) -> InvoiceRequest | None:
    """The request that names the invoice's buyer, if any does."""
    in_time = [request for request in requests if request.buyer and not request.too_late]
    return max(in_time, key=lambda request: request.precedence, default=None)


def _buyer(raw: Any) -> dict[str, str]:
    try:
        return buyers.parse_buyer(raw)
    except buyers.InvalidBuyer as error:
        field, message = next(iter(error.problems.items()))
        raise Unacceptable("invalid_buyer", f"buyer.{field}", str(message)) from None


def _typed(data: dict[str, Any], field: str, kind: type) -> Any:
    if field not in data:
        raise Unacceptable("missing", field, "This field is missing.")
    if not isinstance(data[field], kind):
        raise Unacceptable("invalid", field, f"This must be {_NAMES[kind]}.")
    return data[field]


_NAMES: dict[type, str] = {bool: "true or false", str: "a text", int: "a whole number"}


def parse_identifier(data: dict[str, Any], field: str, length: int = ID_LENGTH) -> str:
    """An identifier of the platform. Raises Unacceptable."""
    text = _typed(data, field, str)
    if not 1 <= len(text) <= length or any(ord(c) < 32 for c in text):
        raise Unacceptable("invalid", field, f"This must be 1 to {length} printable characters.")
    return text


def _money(data: dict[str, Any], field: str, *, optional: bool = False) -> int:
    if optional and data.get(field) is None:
        return 0
    value = _typed(data, field, int)
    if isinstance(value, bool) or not 0 <= value < 10**15:
        raise Unacceptable("invalid", field, "This must be a whole number of đồng, 0 or more.")
    return value


def _instant(data: dict[str, Any], field: str) -> datetime:
    text = _typed(data, field, str)
    try:
        instant = parse_datetime(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise Unacceptable("invalid", field, "This must be an ISO 8601 time with an offset, 2026-11-23T10:00:00+07:00.")
    return instant
