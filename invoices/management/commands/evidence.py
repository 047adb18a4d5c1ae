"""`manage.py evidence ORDER`: an order's invoice as a zip that proves itself, without us and with sha256sum alone."""

import hashlib
import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from django.core.management.base import BaseCommand
from django.core.serializers.json import DjangoJSONEncoder

from invoices.management.commands.inspect_invoice import told
from invoices.management.orders import add_order, documents_of
from invoices.models import Invoice

README = (Path(__file__).parent / "evidence.md").read_text()


class Command(BaseCommand):
    help = "Write an order's documents, files and audit into a zip, with how to verify it. It names the buyer."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_order(parser)
        parser.add_argument("--to", metavar="FILE", type=Path, help="the zip; evidence-ORDER.zip by default")

    def handle(self, *_: Any, **options: Any) -> None:
        invoices = documents_of(options["order"], options["merchant"])
        path = options["to"] or Path(f"evidence-{options['order'].replace('/', '_')}.zip")
        found = {"README.md": README.encode()}
        for invoice in invoices:
            found |= {
                f"{invoice.document_no}/{name}": content for name, content in contents(invoice).items() if content
            }
        sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in found.items())
        with ZipFile(path, "w", ZIP_DEFLATED) as archive:
            for name, content in {**found, "SHA256SUMS": sums.encode()}.items():
                archive.writestr(name, content)
        self.stdout.write(f"{path}: {len(invoices)} of the order's documents. Its README.md tells how to verify it.")


def contents(invoice: Invoice) -> dict[str, bytes]:
    """Files by name. The audit's records are byte for byte what was hashed."""
    tracings = list(invoice.tracings.order_by("seq"))
    facts = {name: value for name, value in told(invoice).items() if name != "audit"}
    return {
        "invoice.json": json.dumps(facts, cls=DjangoJSONEncoder, ensure_ascii=False, indent=2).encode(),
        "document.json": invoice.document.encode(),
        **{f"sent/{row.sha256}.json": row.document.encode() for row in invoice.sent_documents.order_by("id")},
        **{f"invoice.{row.kind}": row.file.read() for row in invoice.files.living().order_by("kind")},
        **{f"audit/{row.seq:04}.json": row.record.encode() for row in tracings},
        "audit/hashes": "".join(f"{row.seq:04} {row.hash}\n" for row in tracings).encode(),
        "audit/head": f"{invoice.audit_seq:04} {invoice.audit_hash}\n".encode(),
    }
