"""Facts about orders as they were received: payments, refunds and invoice requests. Buyers are masked."""

from django.contrib import admin
from django.utils.safestring import SafeString

from config.console.admins import ReadOnlyAdmin
from config.console.cells import dong, html_pairs
from invoices.cells import as_json
from invoices.masking import mask_buyer
from invoices.models import InvoiceRequest, Payment, Refund


class FactAdmin(ReadOnlyAdmin):
    """Without a search field: an order's facts are linked from its invoice's page and found by the search box."""

    link_filters = ("merchant_code", "order_id")


@admin.register(Payment)
class PaymentAdmin(FactAdmin):
    list_display = ("payment_id", "order_id", "merchant_code", "money", "paid_at", "parked")
    list_filter = ("parked", ("parked", admin.EmptyFieldListFilter))
    fields = (("payment_id", "order_id", "merchant_code"), "paid_at", ("parked", "parked_at"), "problem", "payload")
    readonly_fields = ("payload",)

    @admin.display(description="total")
    def money(self, row: Payment) -> str:
        return dong(row.body["total"])

    @admin.display(description="raw payload")
    def payload(self, row: Payment) -> SafeString | str:
        return as_json(row.body)


@admin.register(Refund)
class RefundAdmin(FactAdmin):
    list_display = ("refund_id", "order_id", "merchant_code", "money", "full", "refunded_at")
    fields = (("refund_id", "order_id", "merchant_code"), "refunded_at", ("money", "full"), "reason")
    readonly_fields = ("money",)

    @admin.display(description="amount")
    def money(self, row: Refund) -> str:
        return dong(row.amount)


@admin.register(InvoiceRequest)
class InvoiceRequestAdmin(FactAdmin):
    list_display = ("request_id", "order_id", "merchant_code", "source", "requested_at", "too_late")
    list_filter = ("too_late",)
    fields = (
        ("request_id", "order_id", "merchant_code"),
        ("source", "requested_at", "too_late"),
        "masked_buyer",
        "invoice",
    )
    readonly_fields = ("masked_buyer",)

    @admin.display(description="buyer")
    def masked_buyer(self, row: InvoiceRequest) -> SafeString | str:
        return html_pairs(mask_buyer(row.buyer))
