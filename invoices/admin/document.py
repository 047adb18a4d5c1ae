"""An invoice's document in the console: as printed on paper, and compared with the document sent last."""

import dataclasses
from dataclasses import dataclass, replace
from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from invoices.issuing import documents
from invoices.masking import HIDDEN
from invoices.models import Invoice, InvoiceIssuance
from invoices.opening.snapshots import compare_trees
from invoices.providers.base import Buyer, Document

NOT_PERSONAL = frozenset({"is_consumer"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Printout:
    """`document` is None if it cannot be rendered; `problem` gives the reason."""

    document: Document | None
    is_frozen: bool  # True: the document that was or will be sent, byte for byte; False: rendered now from the row
    problem: str = ""


def printout(invoice: Invoice, *, sees_buyer: bool) -> Printout:
    frozen = bool(invoice.document)
    try:
        document = documents.parse_document(invoice.document or documents.render_document(invoice))
    except (LookupError, ValueError, TypeError) as error:  # no legal rules for the day, or an incomplete bill
        return Printout(document=None, is_frozen=frozen, problem=f"The document cannot be rendered: {error}")
    return Printout(document=_for_reader(document, sees_buyer=sees_buyer), is_frozen=frozen)


def printout_of_attempt(attempt: InvoiceIssuance, *, sees_buyer: bool) -> Printout:
    """The document that an attempt sent, even if the invoice has another one now."""
    if not (text := attempt.document):
        return Printout(document=None, is_frozen=True, problem="Only the hash of its document is known.")
    return Printout(document=_for_reader(documents.parse_document(text), sees_buyer=sees_buyer), is_frozen=True)


def _for_reader(document: Document, *, sees_buyer: bool) -> Document:
    if sees_buyer or document.buyer.is_consumer:
        return document
    return replace(document, buyer=_hidden(document.buyer))


def _hidden(buyer: Buyer) -> Buyer:
    """Shows only which fields are filled in. A company's tax code is public."""
    public = NOT_PERSONAL | ({"tax_code"} if buyer.legal_name else set())
    hide: dict[str, Any] = {
        name: HIDDEN for name in Buyer.__dataclass_fields__ if name not in public and getattr(buyer, name)
    }
    return replace(buyer, **hide)


def render_payload_comparison(before: Invoice, after: Invoice) -> SafeString:
    """The document of the last attempt and that of the next, field by field. Their hashes say whether they differ."""
    sends = before.issuances.exclude(document_sha256="")
    attempt = sends.order_by("-id").only("invoice", "attempt", "taken_at", "document_sha256").first()
    text, sent = after.document or documents.render_document(after), attempt.document if attempt else ""
    context: dict[str, Any] = {
        "left": "last sent" if sent else "",
        "right": "to be sent",
        "attempt": attempt,
        "is_kept": bool(sent),
        "identical": attempt is not None and documents.sha256(text) == attempt.document_sha256,
        "sha256": documents.sha256(text),
        "values": compare_trees(_fields(sent) if sent else {}, _fields(text)),
    }
    return render_to_string("invoices/payload_comparison.html", context)


def _fields(text: str) -> dict[str, Any]:
    """A document's fields in the order of its class; the canonical text has them in alphabetical order."""
    document = documents.parse_document(text)
    return dataclasses.asdict(document) | {"issue_date": document.issue_date.isoformat()}
