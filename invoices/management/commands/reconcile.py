"""`manage.py reconcile [--date D]`: compare our invoices of a day with the providers' lists."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from datetime import date, timedelta
from typing import Any

from django.core.management.base import BaseCommand
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from config.base import clock
from invoices.upkeep.reconcile import reconcile


class Command(BaseCommand):
    help = "Compare our invoices of a day with the providers' lists. Exit 0: they agree; 1: they differ."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--date", type=date.fromisoformat, metavar="YYYY-MM-DD", help="the day; yesterday by default"
        )
        parser.add_argument("--json", action="store_true", help="print JSON and nothing else")

    def handle(self, *_: Any, **options: Any) -> None:
        day = options["date"] or clock.today_vn() - timedelta(days=1)
        console = Console(stderr=True, quiet=options["json"])
        bar = (TextColumn("Accounts compared"), BarColumn(), MofNCompleteColumn())
        with Progress(*bar, console=console) as progress:
            task = progress.add_task("")
            result = reconcile(day, on_progress=lambda done, total: progress.update(task, completed=done, total=total))
        if options["json"]:
            report = asdict(result) | {"day": f"{day}", "agrees": result.agrees}
            self.stdout.write(json.dumps(report, ensure_ascii=False))
        else:
            table = Table("Kind", "Account", "Difference")
            for difference in result.differences:
                table.add_row(difference.kind, difference.account, difference.what)
            if result.differences:
                Console(file=self.stdout, markup=False).print(table)  # type: ignore[arg-type]
            verdict = "they agree" if result.agrees else f"{len(result.differences)} differences"
            self.stdout.write(
                f"{day}: {result.ours} invoices here, {result.theirs} at the providers, "
                f"{result.accounts} accounts: {verdict}."
            )
        if not result.agrees:
            raise SystemExit(1)
