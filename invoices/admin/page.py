"""What an invoice's page shows beyond its fields: header, timeline, document, configuration, neighbours."""

from typing import Any

from django.contrib.auth.models import AnonymousUser, User

from config.base import clock
from config.console.cells import badge, dong
from config.console.timeline import Subject, read
from invoices.admin.actions import SEES_BUYERS
from invoices.admin.paper import paper
from invoices.lifecycle import ENDED
from invoices.masking import masked
from invoices.models import Invoice
from invoices.opening.snapshots import compared

PARTS = {  # what a reader may not see is named, so that a gap is not taken for silence
    "payments": "invoices.view_payment",
    "refunds": "invoices.view_refund",
    "requests": "invoices.view_invoicerequest",
    "audit": "invoices.view_invoiceaudittracing",
    "attempts": "invoices.view_invoiceissuance",
    "webhooks in": "webhooks.view_webhookevent",
    "webhooks out": "webhooks.view_webhookdelivery",
    "pauses": "invoices.view_partition",
    "the merchant": "merchants.view_merchant",
    "its tax data": "merchants.view_taxinfo",
    "what the platform told of it": "merchants.view_merchantchange",
    "the provider account": "merchants.view_provideraccount",
}


def page_of(invoice: Invoice, user: User | AnonymousUser) -> dict[str, Any]:
    """The template's context. A fixed number of queries, whatever has happened to the invoice."""
    sees_buyer = user.has_perm(SEES_BUYERS)
    sees_merchant = user.has_perm("merchants.view_merchant")
    values = compared(invoice) if sees_merchant else []
    return {
        "invoice": invoice,
        "badge": badge(invoice.state),
        "total": dong(invoice.total),
        "vat": dong(invoice.vat),
        "refunded": dong(invoice.refunded_amount) if invoice.refunded_amount else "",
        "buyer": buyer_of(invoice, sees_buyer=sees_buyer),
        "sees_merchant": sees_merchant,
        "story": read(subject(invoice, user)),
        "untold": [name for name, permission in PARTS.items() if not user.has_perm(permission)],
        "paper": paper(invoice, sees_buyer=sees_buyer),
        "compared": values,
        "differs": any(value.differs for value in values),
        "files": list(invoice.files.order_by("kind")) if user.has_perm("invoices.view_invoicefile") else [],
        "corrections": list(invoice.corrections.order_by("document_no")),
    }


def buyer_of(invoice: Invoice, *, sees_buyer: bool) -> str:
    """The buyer in a line."""
    if not invoice.buyer:
        return "the consumer"
    return " · ".join((invoice.buyer if sees_buyer else masked(invoice.buyer)).values())


def subject(invoice: Invoice, user: User | AnonymousUser) -> Subject:
    over = invoice.state in ENDED and not invoice.correction_owed
    return Subject(
        invoice_id=invoice.pk,
        order_id=invoice.order_id,
        merchant_id=invoice.merchant_id,
        merchant_code=invoice.merchant.code,
        account_id=invoice.account_id,
        partition=invoice.partition,
        document=invoice.document,
        since=min(invoice.created_at, invoice.paid_at),
        until=invoice.updated_at if over else clock.now(),
        may=user.has_perm,
    )
