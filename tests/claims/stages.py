"""Invoices as a buyer may meet them, and what the tests of this room ask of them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.core.files.base import ContentFile

from config.base import clock
from invoices.models import Invoice, InvoiceFile
from invoices.opening.claim_window import expire_claims
from invoices.opening.conclude import learn
from invoices.opening.facts import refund
from invoices.operations.claim import claim
from tests import cast


def again(invoice: Invoice) -> Invoice:
    return Invoice.objects.get(pk=invoice.pk)


def overdue(**overrides: Any) -> Invoice:
    """WAITING, and its window has closed."""
    invoice = cast.waiting(cast.seller(**overrides))
    Invoice.objects.filter(pk=invoice.pk).update(claim_deadline=clock.now() - timedelta(seconds=1))
    return again(invoice)


def events(invoice: Invoice) -> list[str]:
    return list(invoice.tracings.values_list("event_type", flat=True))


def claimed() -> Invoice:
    return claim(cast.waiting().claim_token, cast.COMPANY)


def with_files(invoice: Invoice) -> Invoice:
    for kind, content in (("pdf", b"%PDF-1.7"), ("xml", b"<HDon/>")):
        row = InvoiceFile(invoice=invoice, kind=kind, sha256="0" * 64, size=len(content))
        row.file.save(f"{invoice.pk}.{kind}", ContentFile(content), save=False)
        row.save()
    return invoice


def link(invoice: Invoice) -> str:
    return f"/claims/{invoice.claim_token}"


def twin(invoice: Invoice) -> str:
    return f"/v1/api/claims/{invoice.claim_token}"


def expired() -> Invoice:
    invoice = overdue(unclaimed="lapse")
    expire_claims(invoice.partition)
    return again(invoice)


def to_be_mended() -> Invoice:
    """The provider refused the buyer's address."""
    invoice = cast.failed(buyer=cast.PERSON)
    Invoice.objects.filter(pk=invoice.pk).update(failure_field="buyer.address")
    return again(invoice)


def partly_refunded() -> Invoice:
    """The provider refused the buyer, and then a part of the money went back."""
    sale = cast.payment(cast.seller())
    invoice = cast.refused(**sale)
    learn(refund(cast.refund(sale, amount=1000, full=False)), actor="test")
    return again(invoice)


STAGES: dict[str, Callable[[], Invoice]] = {
    "open": cast.waiting,
    "known": lambda: cast.waiting(buyer=cast.COMPANY),
    "claimed": claimed,
    "closed": overdue,
    "expired": expired,
    "queued": lambda: cast.queued(cast.seller(claim_window=0)),
    "sending": lambda: cast.sending(buyer=cast.PERSON),
    "failed": cast.failed,
    "to be mended": to_be_mended,
    "partly refunded": partly_refunded,
    "issued": lambda: cast.issued(buyer=cast.COMPANY),
    "consumer": cast.issued,
    "sales invoice": lambda: cast.waiting(cast.seller(form="2", symbol="C26TBB")),
    "nothing paid": lambda: cast.waiting(
        lines=[{"name": "Quà", "quantity": 1, "unitPrice": 0, "vatRate": "8%"}], total=0
    ),
}
