"""What would be sent, beside what was sent last."""

import dataclasses
from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from invoices.issuing import documents
from invoices.models import Invoice
from invoices.opening.snapshots import beside


def compared_payloads(before: Invoice, after: Invoice) -> SafeString:
    """The document of the last attempt and that of the next, field by field.

    Whether they are the same is told by their hashes.
    """
    sends = before.issuances.exclude(document_sha256="")
    attempt = sends.order_by("-id").only("invoice", "attempt", "taken_at", "document_sha256").first()
    text, sent = after.document or documents.render(after), attempt.document if attempt else ""
    context: dict[str, Any] = {
        "left": "last sent" if sent else "",
        "right": "to be sent",
        "attempt": attempt,
        "is_kept": bool(sent),
        "identical": attempt is not None and documents.sha256(text) == attempt.document_sha256,
        "sha256": documents.sha256(text),
        "values": beside(_in_order(sent) if sent else {}, _in_order(text)),
    }
    return render_to_string("invoices/payloads.html", context)


def _in_order(text: str) -> dict[str, Any]:
    """A document's fields as its class has them: the canonical text has them by the alphabet."""
    document = documents.read(text)
    return dataclasses.asdict(document) | {"issue_date": document.issue_date.isoformat()}
