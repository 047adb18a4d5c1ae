"""The document as the buyer will see it on paper."""

from dataclasses import dataclass, replace
from typing import Any

from invoices import documents
from invoices.models import Invoice
from invoices.personal import HIDDEN
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
    if not sees_buyer and not document.buyer.is_consumer:
        document = replace(document, buyer=hidden(document.buyer))
    return Paper(document=document, is_frozen=frozen)


def hidden(buyer: Buyer) -> Buyer:
    """Only which of its fields are filled in; a company's tax code is public."""
    public = OPEN | ({"tax_code"} if buyer.legal_name else set())
    hide: dict[str, Any] = {
        name: HIDDEN for name in Buyer.__dataclass_fields__ if name not in public and getattr(buyer, name)
    }
    return replace(buyer, **hide)
