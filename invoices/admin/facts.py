"""What we were told of orders, as it came; buyers masked."""

from django.contrib import admin
from django.utils.safestring import SafeString

from config.admin import Shown
from config.console.cells import dong, pairs
from invoices.cells import as_json
from invoices.masking import masked
from invoices.models import InvoiceRequest, Payment, Refund


class Fact(Shown):
    """An order's facts are reached from its invoice's page and by the search above every page."""

    linked = ("merchant_code", "order_id")


@admin.register(Payment)
class PaymentAdmin(Fact):
    list_display = ("payment_id", "order_id", "merchant_code", "money", "paid_at", "parked")
    list_filter = ("parked", ("parked", admin.EmptyFieldListFilter))
    fields = (("payment_id", "order_id", "merchant_code"), "paid_at", ("parked", "parked_at"), "problem", "told")
    readonly_fields = ("told",)

    @admin.display(description="total")
    def money(self, row: Payment) -> str:
        return dong(row.body["total"])

    @admin.display(description="as it came")
    def told(self, row: Payment) -> SafeString | str:
        return as_json(row.body)


@admin.register(Refund)
class RefundAdmin(Fact):
    list_display = ("refund_id", "order_id", "merchant_code", "money", "full", "refunded_at")
    fields = (("refund_id", "order_id", "merchant_code"), "refunded_at", ("money", "full"), "reason")
    readonly_fields = ("money",)

    @admin.display(description="amount")
    def money(self, row: Refund) -> str:
        return dong(row.amount)


@admin.register(InvoiceRequest)
class InvoiceRequestAdmin(Fact):
    list_display = ("request_id", "order_id", "merchant_code", "source", "requested_at", "too_late")
    list_filter = ("too_late",)
    fields = (("request_id", "order_id", "merchant_code"), ("source", "requested_at", "too_late"), "who", "invoice")
    readonly_fields = ("who",)

    @admin.display(description="buyer")
    def who(self, row: InvoiceRequest) -> SafeString | str:
        return pairs(masked(row.buyer))
