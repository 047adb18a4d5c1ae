"""The document as the buyer will see it on paper."""

from dataclasses import dataclass, replace
from typing import Any

from invoices.issuing import documents
from invoices.masking import HIDDEN
from invoices.models import Invoice, InvoiceIssuance
from invoices.providers.base import Buyer, Document

OPEN = frozenset({"is_consumer"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """`document` is None where none can be drawn up: `problem` says why."""

    document: Document | None
    is_frozen: bool  # what was sent, or is sent byte for byte; else as it would be drawn up now
    problem: str = ""


def paper(invoice: Invoice, *, sees_buyer: bool) -> Paper:
    frozen = bool(invoice.document)
    try:
        document = documents.read(invoice.document or documents.render(invoice))
    except (LookupError, ValueError, TypeError) as error:  # no law for the day, or a bill that is not whole
        return Paper(document=None, is_frozen=frozen, problem=f"It cannot be drawn up: {error}")
    return Paper(document=shown(document, sees_buyer=sees_buyer), is_frozen=frozen)


def sent_paper(attempt: InvoiceIssuance, *, sees_buyer: bool) -> Paper:
    """What an attempt sent, whatever became of its invoice since."""
    if not (text := attempt.document):
        return Paper(document=None, is_frozen=True, problem="What it sent is known by its hash alone.")
    return Paper(document=shown(documents.read(text), sees_buyer=sees_buyer), is_frozen=True)


def shown(document: Document, *, sees_buyer: bool) -> Document:
    if sees_buyer or document.buyer.is_consumer:
        return document
    return replace(document, buyer=hidden(document.buyer))


def hidden(buyer: Buyer) -> Buyer:
    """Only which of its fields are filled in; a company's tax code is public."""
    public = OPEN | ({"tax_code"} if buyer.legal_name else set())
    hide: dict[str, Any] = {
        name: HIDDEN for name in Buyer.__dataclass_fields__ if name not in public and getattr(buyer, name)
    }
    return replace(buyer, **hide)
