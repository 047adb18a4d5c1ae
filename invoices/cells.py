"""How an invoice's values read in the console: its JSON, its files, its audit rows."""

import json
from typing import Any

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from config.console.cells import NOTHING
from invoices.masking import masked_body
from invoices.models import InvoiceFile


def as_json(value: Any) -> SafeString | str:
    """Indented, personal data hidden."""
    if value in (None, "", {}, []):
        return NOTHING
    return format_html('<pre class="json">{}</pre>', json.dumps(masked_body(value), ensure_ascii=False, indent=2))


def file_link(file: InvoiceFile) -> SafeString:
    url = reverse("admin:invoices_invoice_file", args=[file.invoice_id, file.kind])
    return format_html('<a href="{}">{}</a> ({:} bytes)', url, file.kind.upper(), file.size)


def changes(told: dict[str, Any]) -> str:
    """An audit row's before and after in one line: state: QUEUED → SENDING."""
    before, after = told["before"], told["after"]
    return "; ".join(f"{field}: {_short(before.get(field))} → {_short(value)}" for field, value in after.items())


def _short(value: Any) -> str:
    text = NOTHING if value in (None, "") else str(value)
    return text if len(text) <= 80 else text[:79] + "…"
