"""`manage.py reconcile [--date D]`: do our books and the providers' agree on a day?"""

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
    help = "Compare our invoices with the providers' lists for a day. Exit 0: they agree; 1: they differ, and how."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--date", type=date.fromisoformat, metavar="YYYY-MM-DD", help="the day; yesterday by default"
        )
        parser.add_argument("--json", action="store_true", help="print JSON and nothing else")

    def handle(self, *_: Any, **options: Any) -> None:
        day = options["date"] or clock.today_vn() - timedelta(days=1)
        console = Console(stderr=True, quiet=options["json"])
        bar = (TextColumn("Accounts asked"), BarColumn(), MofNCompleteColumn())
        with Progress(*bar, console=console) as progress:
            task = progress.add_task("")
            result = reconcile(day, told=lambda done, total: progress.update(task, completed=done, total=total))
        if options["json"]:
            facts = asdict(result) | {"day": f"{day}", "agrees": result.agrees}
            self.stdout.write(json.dumps(facts, ensure_ascii=False))
        else:
            table = Table("Kind", "Account", "What differs")
            for difference in result.differences:
                table.add_row(difference.kind, difference.account, difference.what)
            if result.differences:
                Console(file=self.stdout, markup=False).print(table)  # type: ignore[arg-type]
            verdict = "they agree" if result.agrees else f"{len(result.differences)} differences"
            self.stdout.write(
                f"{day}: {result.ours} invoices here, {result.theirs} there, {result.accounts} accounts: {verdict}."
            )
        if not result.agrees:
            raise SystemExit(1)
