"""Invoices at every stage that a buyer may see, and helpers for tests of claims."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.core.files.base import ContentFile

from config.base import clock
from invoices.models import Invoice, InvoiceFile
from invoices.opening.claim_window import close_claim_windows
from invoices.opening.conclude import apply_facts
from invoices.opening.facts import parse_refund
from invoices.operations.claim import claim
from tests import cast


def reload_invoice(invoice: Invoice) -> Invoice:
    return Invoice.objects.get(pk=invoice.pk)


def overdue(**overrides: Any) -> Invoice:
    """WAITING, and its window has closed."""
    invoice = cast.waiting(cast.seller(**overrides))
    Invoice.objects.filter(pk=invoice.pk).update(claim_deadline=clock.now() - timedelta(seconds=1))
    return reload_invoice(invoice)


def event_types(invoice: Invoice) -> list[str]:
    return list(invoice.tracings.values_list("event_type", flat=True))


def claimed() -> Invoice:
    return claim(cast.waiting().claim_token, cast.COMPANY)


def with_files(invoice: Invoice) -> Invoice:
    for kind, content in (("pdf", b"%PDF-1.7"), ("xml", b"<HDon/>")):
        row = InvoiceFile(invoice=invoice, kind=kind, sha256="0" * 64, size=len(content))
        row.file.save(f"{invoice.pk}.{kind}", ContentFile(content), save=False)
        row.save()
    return invoice


def page_path(invoice: Invoice) -> str:
    return f"/claims/{invoice.claim_token}"


def twin_path(invoice: Invoice) -> str:
    return f"/v1/api/claims/{invoice.claim_token}"


def expired() -> Invoice:
    invoice = overdue(unclaimed="lapse")
    close_claim_windows(invoice.partition)
    return reload_invoice(invoice)


def buyer_refused() -> Invoice:
    """The provider refused the buyer's address."""
    invoice = cast.failed(buyer=cast.PERSON)
    Invoice.objects.filter(pk=invoice.pk).update(failure_field="buyer.address")
    return reload_invoice(invoice)


def partly_refunded() -> Invoice:
    """The provider refused the buyer, and then part of the payment was refunded."""
    sale = cast.payment(cast.seller())
    invoice = cast.refused(**sale)
    apply_facts(parse_refund(cast.refund(sale, amount=1000, full=False)), actor="test")
    return reload_invoice(invoice)


STAGES: dict[str, Callable[[], Invoice]] = {
    "open": cast.waiting,
    "known": lambda: cast.waiting(buyer=cast.COMPANY),
    "claimed": claimed,
    "closed": overdue,
    "expired": expired,
    "queued": lambda: cast.queued(cast.seller(claim_window=0)),
    "sending": lambda: cast.sending(buyer=cast.PERSON),
    "failed": cast.failed,
    "buyer refused": buyer_refused,
    "partly refunded": partly_refunded,
    "issued": lambda: cast.issued(buyer=cast.COMPANY),
    "consumer": cast.issued,
    "sales invoice": lambda: cast.waiting(cast.seller(form="2", symbol="C26TBB")),
    "nothing paid": lambda: cast.waiting(
        lines=[{"name": "Quà", "quantity": 1, "unitPrice": 0, "vatRate": "8%"}], total=0
    ),
}
