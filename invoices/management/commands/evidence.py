"""`manage.py evidence ORDER`: an order's invoice as a ZIP that can be verified with sha256sum alone."""

import hashlib
import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from django.core.management.base import BaseCommand
from django.core.serializers.json import DjangoJSONEncoder

from invoices.management.commands.inspect_invoice import describe_invoice
from invoices.management.orders import add_order_argument, find_documents
from invoices.models import Invoice

README = (Path(__file__).parent / "evidence.md").read_text()


class Command(BaseCommand):
    help = "Write an order's documents, files and audit into a ZIP, with instructions to verify it. It names the buyer."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_order_argument(parser)
        parser.add_argument("--to", metavar="FILE", type=Path, help="the ZIP to write; evidence-ORDER.zip by default")

    def handle(self, *_: Any, **options: Any) -> None:
        invoices = find_documents(options["order"], options["merchant"])
        path = options["to"] or Path(f"evidence-{options['order'].replace('/', '_')}.zip")
        files = {"README.md": README.encode()}
        for invoice in invoices:
            files |= {
                f"{invoice.document_no}/{name}": content for name, content in contents(invoice).items() if content
            }
        sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items())
        with ZipFile(path, "w", ZIP_DEFLATED) as archive:
            for name, content in {**files, "SHA256SUMS": sums.encode()}.items():
                archive.writestr(name, content)
        self.stdout.write(f"{path}: documents of the order: {len(invoices)}. Its README.md explains how to verify it.")


def contents(invoice: Invoice) -> dict[str, bytes]:
    """The files by name. The audit's records are byte for byte as they were hashed."""
    tracings = list(invoice.tracings.order_by("seq"))
    description = {name: value for name, value in describe_invoice(invoice).items() if name != "audit"}
    return {
        "invoice.json": json.dumps(description, cls=DjangoJSONEncoder, ensure_ascii=False, indent=2).encode(),
        "document.json": invoice.document.encode(),
        **{f"sent/{row.sha256}.json": row.document.encode() for row in invoice.sent_documents.order_by("id")},
        **{f"invoice.{row.kind}": row.file.read() for row in invoice.files.not_deleted().order_by("kind")},
        **{f"audit/{row.seq:04}.json": row.record.encode() for row in tracings},
        "audit/hashes": "".join(f"{row.seq:04} {row.hash}\n" for row in tracings).encode(),
        "audit/head": f"{invoice.audit_seq:04} {invoice.audit_hash}\n".encode(),
    }
