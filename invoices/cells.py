"""Format values of invoices for the console: JSON, files, audit rows."""

import json
from typing import Any

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from config.console.cells import NOTHING
from invoices.masking import mask_body
from invoices.models import InvoiceFile


def as_json(value: Any) -> SafeString | str:
    """Indented, with personal data masked."""
    if value in (None, "", {}, []):
        return NOTHING
    return format_html('<pre class="json">{}</pre>', json.dumps(mask_body(value), ensure_ascii=False, indent=2))


def file_link(file: InvoiceFile) -> SafeString:
    url = reverse("admin:invoices_invoice_file", args=[file.invoice_id, file.kind])
    return format_html('<a href="{}">{}</a> ({:} bytes)', url, file.kind.upper(), file.size)


def changed_fields(content: dict[str, Any]) -> str:
    """The changes of an audit row in one line: "state: QUEUED → SENDING"."""
    before, after = content["before"], content["after"]
    return "; ".join(f"{field}: {_short(before.get(field))} → {_short(value)}" for field, value in after.items())


def _short(value: Any) -> str:
    text = NOTHING if value in (None, "") else str(value)
    return text if len(text) <= 80 else text[:79] + "…"
