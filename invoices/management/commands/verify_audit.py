"""`manage.py verify_audit [ORDER]`: verify that the audit is unchanged since it was written."""

import json
import time
from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from invoices.management.orders import find_documents
from invoices.models import AuditVerification, Invoice
from invoices.upkeep import verify_audit


class Command(BaseCommand):
    help = "Verify the audit's chains, or one order's. Exit 0: all are whole; 1: some are broken."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("order", metavar="ORDER", nargs="?", help="the platform's orderId; all invoices by default")
        parser.add_argument("--merchant", metavar="CODE", default="", help="the platform's merchantId")
        parser.add_argument(
            "--until",
            type=_parse_time,
            metavar="TIME",
            help="print the digest as of this time, to compare with the log",
        )
        parser.add_argument("--json", action="store_true", help="print JSON and nothing else")

    def handle(self, *_: Any, **options: Any) -> None:
        started = time.monotonic()
        verification = verify_audit.new_verification()
        verification.until = options["until"] or verification.until
        if options["order"]:
            for invoice in find_documents(options["order"], options["merchant"]):
                verify_audit.verify_range(verification, invoice.pk, invoice.pk)
        else:
            _verify_all(verification, Console(stderr=True, quiet=options["json"]))
        report = _report(verification, seconds=time.monotonic() - started, whole=not options["order"])
        if options["json"]:
            self.stdout.write(json.dumps(report, ensure_ascii=False))
        else:
            self._print(report)
        if verification.broken:
            raise SystemExit(1)

    def _print(self, report: dict[str, Any]) -> None:
        for row in report["firstBroken"]:
            order = f"order {row['order']} of {row['merchant']}, " if row["order"] else ""
            where = f"{order}invoice {row['invoice']}, row {row['seq']}" if row["seq"] else "the whole audit"
            self.stdout.write(f"{where}: {row['what']}")
        if report["broken"] > len(report["firstBroken"]):
            self.stdout.write(f"… and {report['broken'] - len(report['firstBroken']):,} more invoices")
        verdict = f"{report['broken']:,} are broken" if report["broken"] else "every chain is whole"
        size = f"{report['rows']:,} rows of {report['invoices']:,} invoices"
        self.stdout.write(f"{size}, {report['seconds']} s: {verdict}.")
        if report["digest"]:
            self.stdout.write(f"Digest of the rows written before {report['until']}: {report['digest']}")


def _verify_all(verification: AuditVerification, console: Console) -> None:
    bar = (TextColumn("Verifying"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*bar, console=console) as progress:
        task = progress.add_task("", total=_estimate_invoices())
        while not verification.ended_at:
            verify_audit.verify_next_slice(verification)
            progress.update(task, completed=verification.invoices)


def _estimate_invoices() -> int:
    """PostgreSQL's last estimate: counting would take as long as verifying."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass", [Invoice._meta.db_table])
        return max(1, cursor.fetchone()[0])


def _report(verification: AuditVerification, *, seconds: float, whole: bool) -> dict[str, Any]:
    ids = [row["invoice"] for row in verification.first_broken]
    invoices = Invoice.objects.select_related("merchant").in_bulk(ids)
    names = {pk: (invoice.order_id, invoice.merchant.code) for pk, invoice in invoices.items()}
    broken = []
    for row in verification.first_broken:
        order, merchant = names.get(row["invoice"], ("", ""))
        broken.append({**row, "invoice": str(row["invoice"]), "order": order, "merchant": merchant})
    return {
        "invoices": verification.invoices,
        "rows": verification.rows,
        "broken": verification.broken,
        "firstBroken": broken,
        "until": verification.until.isoformat(),
        "digest": verification.digest if whole and not verification.broken else "",
        "seconds": round(seconds, 1),
    }


def _parse_time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise CommandError(f"{text} has no UTC offset. Write it as in the log: 2026-07-01T17:00:00+00:00")
    return at
