"""The facts of an order, stored as received. `opening.conclude` derives the invoice from them."""

from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from config.base.records import Record
from config.base.tracing import trace_id


class Payment(Record):
    """A paid sale. `merchant_code` is the platform's: the merchant may not be known here yet."""

    class Parked(models.TextChoices):
        MERCHANT = "merchant", "the merchant is unknown"
        TAX_INFO = "tax_info", "the merchant has no tax data"
        ACCOUNT = "account", "the merchant has no provider account"
        SYMBOL_YEAR = "symbol_year", "no symbol for the year of the sale"
        REFUSED = "refused", "it does not add up: an operator must decide"

    merchant_code = models.CharField(max_length=64)
    order_id = models.CharField(max_length=64)
    payment_id = models.CharField(max_length=64)
    paid_at = models.DateTimeField()
    body = models.JSONField(encoder=DjangoJSONEncoder)  # the event's data, complete
    parked = models.CharField(max_length=11, choices=Parked.choices, blank=True)
    parked_at = models.DateTimeField(null=True, blank=True)
    problem = models.TextField(blank=True)
    trace = models.UUIDField(null=True, editable=False, default=trace_id)  # the trace of the request that brought it

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant_code", "order_id", "payment_id"], name="one_row_a_payment"),
        ]
        indexes = [
            models.Index(fields=["merchant_code", "id"], condition=~models.Q(parked=""), name="parked_payments"),
            models.Index(fields=["parked", "id"], condition=~models.Q(parked=""), name="payments_by_parking"),
            models.Index(fields=["payment_id"], name="payments_by_id"),
            models.Index(fields=["order_id"], condition=~models.Q(parked=""), name="parked_by_order"),
        ]

    def __str__(self) -> str:
        return f"payment {self.payment_id} of order {self.order_id}"

    @property
    def about(self) -> dict[str, Any]:
        """The fields of every log line about it."""
        fields = {"order": self.order_id, "merchant": self.merchant_code, "payment": self.payment_id}
        return fields | ({"trace": self.trace.hex} if self.trace else {})


class Refund(Record):
    merchant_code = models.CharField(max_length=64)
    order_id = models.CharField(max_length=64)
    refund_id = models.CharField(max_length=64)
    refunded_at = models.DateTimeField()
    amount = models.BigIntegerField()  # đồng
    full = models.BooleanField()
    reason = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant_code", "order_id", "refund_id"], name="one_row_a_refund"),
        ]

    def __str__(self) -> str:
        return f"refund {self.refund_id} of order {self.order_id}"


class InvoiceRequest(Record):
    """The buyer according to one source. All are kept: each edit of a claim is a row of its own."""

    class Source(models.TextChoices):
        PAYMENT = "payment"
        CHECKOUT = "checkout"
        API = "api"
        CLAIM = "claim"

    RANK = {
        Source.PAYMENT: 0,
        Source.CHECKOUT: 1,
        Source.API: 1,
        Source.CLAIM: 2,
    }  # a claim takes precedence over a request, a request over a payment

    merchant_code = models.CharField(max_length=64)
    order_id = models.CharField(max_length=64)
    request_id = models.CharField(max_length=64)
    source = models.CharField(max_length=8, choices=Source.choices)
    requested_at = models.DateTimeField()
    buyer = models.JSONField()
    invoice = models.ForeignKey("invoices.Invoice", models.PROTECT, null=True, blank=True, related_name="requests")
    too_late = models.BooleanField(default=False)  # received after the take: a correction may be offered

    class Meta:
        verbose_name = "buyer request"
        constraints = [
            models.UniqueConstraint(fields=["merchant_code", "order_id", "request_id"], name="one_row_a_request"),
        ]
        indexes = [
            models.Index(fields=["merchant_code", "id"], name="requests_of_merchant"),
            models.Index(fields=["id"], condition=models.Q(too_late=True), name="requests_too_late"),
        ]

    def __str__(self) -> str:
        return f"{self.source} request of order {self.order_id}"

    @property
    def precedence(self) -> tuple[int, float, str]:
        """The request with the highest value wins: by source, then time, then id."""
        return self.RANK[self.Source(self.source)], self.requested_at.timestamp(), self.request_id
