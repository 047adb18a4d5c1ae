"""The context of an invoice's page: header, timeline, document, configuration, related invoices."""

from typing import Any

from django.contrib.auth.models import AnonymousUser, User

from config.base import clock
from config.console.cells import badge, dong
from config.console.timeline import TimelineContext, collect_entries
from invoices.admin.actions import SEES_BUYERS
from invoices.admin.document import printout
from invoices.lifecycle import ENDED
from invoices.masking import mask_buyer
from invoices.models import Invoice
from invoices.opening.snapshots import compare_to_today

# Parts of the timeline and their permissions. The page names those that the reader may not see.
PARTS = {
    "payments": "invoices.view_payment",
    "refunds": "invoices.view_refund",
    "requests": "invoices.view_invoicerequest",
    "audit": "invoices.view_invoiceaudittracing",
    "attempts": "invoices.view_invoiceissuance",
    "webhooks in": "webhooks.view_webhookevent",
    "webhooks out": "webhooks.view_webhookdelivery",
    "pauses": "invoices.view_partition",
    "merchant edits": "merchants.view_merchant",
    "tax data": "merchants.view_taxinfo",
    "merchant changes": "merchants.view_merchantchange",
    "provider account": "merchants.view_provideraccount",
}


def invoice_page(invoice: Invoice, user: User | AnonymousUser) -> dict[str, Any]:
    """The page's context. The number of queries does not depend on the invoice's history."""
    sees_buyer = user.has_perm(SEES_BUYERS)
    sees_merchant = user.has_perm("merchants.view_merchant")
    values = compare_to_today(invoice) if sees_merchant else []
    return {
        "invoice": invoice,
        "badge": badge(invoice.state),
        "total": dong(invoice.total),
        "vat": dong(invoice.vat),
        "refunded": dong(invoice.refunded_amount) if invoice.refunded_amount else "",
        "buyer": buyer_line(invoice, sees_buyer=sees_buyer),
        "sees_merchant": sees_merchant,
        "timeline": collect_entries(timeline_context(invoice, user)),
        "hidden_parts": [name for name, permission in PARTS.items() if not user.has_perm(permission)],
        "paper": printout(invoice, sees_buyer=sees_buyer),
        "compared": values,
        "differs": any(value.differs for value in values),
        "files": list(invoice.files.order_by("kind")) if user.has_perm("invoices.view_invoicefile") else [],
        "corrections": list(invoice.corrections.order_by("document_no")),
    }


def buyer_line(invoice: Invoice, *, sees_buyer: bool) -> str:
    """The buyer in one line."""
    if not invoice.buyer:
        return "the consumer"
    return " · ".join((invoice.buyer if sees_buyer else mask_buyer(invoice.buyer)).values())


def timeline_context(invoice: Invoice, user: User | AnonymousUser) -> TimelineContext:
    is_over = invoice.state in ENDED and not invoice.correction_owed
    return TimelineContext(
        invoice_id=invoice.pk,
        order_id=invoice.order_id,
        merchant_id=invoice.merchant_id,
        merchant_code=invoice.merchant.code,
        account_id=invoice.account_id,
        partition=invoice.partition,
        document=invoice.document,
        since=min(invoice.created_at, invoice.paid_at),
        until=invoice.updated_at if is_over else clock.now(),
        has_perm=user.has_perm,
    )
