"""`manage.py inspect_invoice ORDER`: everything about an order's invoice, with personal data masked."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from rich.console import Console
from rich.table import Table

from config.console.cells import dong
from invoices.cells import changed_fields
from invoices.management.orders import add_order_argument, find_documents
from invoices.masking import mask_buyer
from invoices.models import Invoice, InvoiceIssuance, InvoiceRequest


class Command(BaseCommand):
    help = "Show an order's invoice with its requests, attempts, files and audit. Personal data is masked."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_order_argument(parser)
        parser.add_argument("--json", action="store_true", help="print JSON and nothing else")

    def handle(self, *_: Any, **options: Any) -> None:
        documents = [describe_invoice(invoice) for invoice in find_documents(options["order"], options["merchant"])]
        if options["json"]:
            self.stdout.write(json.dumps(documents, cls=DjangoJSONEncoder, ensure_ascii=False, indent=2))
            return
        # Without markup, because a vendor's message may contain brackets.
        console = Console(file=self.stdout, markup=False, highlight=False)  # type: ignore[arg-type]
        for document in documents:
            _show(console, document)


def describe_invoice(invoice: Invoice) -> dict[str, Any]:
    return {
        "invoice": _invoice(invoice),
        "requests": [_request(row) for row in invoice.requests.order_by("requested_at", "id")],
        "issuances": [_issuance(row) for row in invoice.issuances.order_by("id")],
        "files": list(invoice.files.order_by("kind").values("kind", "size", "sha256")),
        "audit": [row.content for row in invoice.tracings.order_by("seq")],
    }


def _invoice(invoice: Invoice) -> dict[str, Any]:
    return {
        "id": str(invoice.pk),
        "order": invoice.order_id,
        "documentNo": invoice.document_no,
        "kind": invoice.kind,
        "merchant": invoice.merchant.code,
        "merchantName": invoice.merchant.name,
        "state": invoice.state,
        "failure": " ".join(filter(None, (invoice.failure, invoice.failure_code))),
        "failureMessage": invoice.failure_message,
        "legalNumber": invoice.legal_number,
        "code": invoice.code,
        "issueDate": invoice.issue_date,
        "issueUntil": invoice.issue_until,
        "issuedAt": invoice.issued_at,
        "paidAt": invoice.paid_at,
        "total": invoice.total,
        "vat": invoice.vat,
        "buyer": mask_buyer(invoice.buyer) if invoice.buyer else "consumer",
        "buyerSource": invoice.buyer_source,
        "claimDeadline": invoice.claim_deadline,
        "claimedAt": invoice.claimed_at,
        "account": str(invoice.account) if invoice.account else "",
        "reference": str(invoice.reference),
        "partition": invoice.partition,
        "notBefore": invoice.not_before,
        "attempts": invoice.attempts,
        "lookups": invoice.lookups,
        "exposedAt": invoice.exposed_at,
        "doubtedAt": invoice.first_uncertain_at,
        "refundedAt": invoice.refunded_at,
        "refundedAmount": invoice.refunded_amount,
        "correctionOwed": invoice.correction_owed,
    }


def _request(row: InvoiceRequest) -> dict[str, Any]:
    return {
        "at": row.requested_at,
        "source": row.source,
        "id": row.request_id,
        "buyer": mask_buyer(row.buyer) if row.buyer else "consumer",
        "tooLate": row.too_late,
    }


def _issuance(row: InvoiceIssuance) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "attempt": row.attempt,
        "takenAt": row.taken_at,
        "endedAt": row.ended_at,
        "seconds": row.seconds,
        "outcome": row.outcome,
        "code": row.code,
        "message": row.message,
        "number": row.number,
        "lookedUp": row.lookups,
        "notFounds": row.not_founds,
    }


def _show(console: Console, document: dict[str, Any]) -> None:
    """Print without empty fields. Tables are sorted by time."""
    invoice = document["invoice"]
    heading = Table(show_header=False, title=f"{invoice['order']} / {invoice['documentNo']}", title_justify="left")
    for name, value in invoice.items():
        if value not in ("", None, 0, False) or name == "partition":
            heading.add_row(name, dong(value) if name in ("total", "vat", "refundedAmount") else _text(value))
    console.print(heading)
    _table(console, "Requests", document["requests"])
    _table(console, "Attempts at the provider", [{**row, "id": ""} for row in document["issuances"]])
    _table(console, "Files", document["files"])
    audit = [
        {
            "seq": row["seq"],
            "at": parse_datetime(row["at"]),
            "event": row["eventType"],
            "outcome": row["outcome"],
            "actor": row["actor"],
            "reason": row["reason"],
            "changed": changed_fields(row),
        }
        for row in document["audit"]
    ]
    _table(console, "Audit", audit)


def _table(console: Console, title: str, rows: list[dict[str, Any]]) -> None:
    """Print without the columns that are empty in all rows."""
    if not rows:
        console.print(f"{title}: none")
        return
    names = [name for name in rows[0] if any(row[name] not in ("", None) for row in rows)]
    table = Table(*names, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(_text(row[name]) for name in names))
    console.print(table)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return ", ".join(f"{name}: {inner}" for name, inner in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.2f}"
    if hasattr(value, "astimezone"):
        return timezone.localtime(value).strftime("%Y-%m-%d %H:%M:%S")
    return str(value)
