"""`manage.py verify_audit [ORDER]`: is the audit as it was written? Names what is not."""

import json
import time
from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from invoices.management.orders import documents_of
from invoices.models import AuditVerification, Invoice
from invoices.upkeep import verify_audit


class Command(BaseCommand):
    help = "Verify the audit's chains, or one order's. Exit 0: all are whole; 1: some are not, and which."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("order", metavar="ORDER", nargs="?", help="the platform's orderId; none: every invoice")
        parser.add_argument("--merchant", metavar="CODE", default="", help="the platform's merchantId")
        parser.add_argument(
            "--until", type=_instant, metavar="INSTANT", help="print the digest of then, to compare with the log's"
        )
        parser.add_argument("--json", action="store_true", help="print JSON and nothing else")

    def handle(self, *_: Any, **options: Any) -> None:
        begun = time.monotonic()
        verification = verify_audit.new_round()
        verification.until = options["until"] or verification.until
        if options["order"]:
            for invoice in documents_of(options["order"], options["merchant"]):
                verify_audit.look(verification, invoice.pk, invoice.pk)
        else:
            _verify_all(verification, Console(stderr=True, quiet=options["json"]))
        told = _told(verification, seconds=time.monotonic() - begun, whole=not options["order"])
        if options["json"]:
            self.stdout.write(json.dumps(told, ensure_ascii=False))
        else:
            self._say(told)
        if verification.broken:
            raise SystemExit(1)

    def _say(self, told: dict[str, Any]) -> None:
        for row in told["firstBroken"]:
            order = f"order {row['order']} of {row['merchant']}, " if row["order"] else ""
            where = f"{order}invoice {row['invoice']}, row {row['seq']}" if row["seq"] else "the whole audit"
            self.stdout.write(f"{where}: {row['what']}")
        if told["broken"] > len(told["firstBroken"]):
            self.stdout.write(f"… and {told['broken'] - len(told['firstBroken']):,} more invoices")
        verdict = f"{told['broken']:,} are broken" if told["broken"] else "every chain is whole"
        self.stdout.write(f"{told['rows']:,} rows of {told['invoices']:,} invoices, {told['seconds']} s: {verdict}.")
        if told["digest"]:
            self.stdout.write(f"Digest of what was written before {told['until']}: {told['digest']}")


def _verify_all(verification: AuditVerification, console: Console) -> None:
    bar = (TextColumn("Verifying"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*bar, console=console) as progress:
        task = progress.add_task("", total=_about_how_many())
        while not verification.ended_at:
            verify_audit.go_on(verification)
            progress.update(task, completed=verification.invoices)


def _about_how_many() -> int:
    """Invoices, as PostgreSQL last estimated them: counting would take as long as verifying."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass", [Invoice._meta.db_table])
        return max(1, cursor.fetchone()[0])


def _told(verification: AuditVerification, *, seconds: float, whole: bool) -> dict[str, Any]:
    ids = [row["invoice"] for row in verification.first_broken]
    known = Invoice.objects.select_related("merchant").in_bulk(ids)
    names = {pk: (invoice.order_id, invoice.merchant.code) for pk, invoice in known.items()}
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


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise CommandError(f"{text} has no offset; write it as in the log: 2026-07-01T17:00:00+00:00")
    return at
