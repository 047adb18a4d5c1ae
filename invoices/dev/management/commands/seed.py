"""`manage.py seed --invoices 1000000`: a large database with generated invoices, for development and measurements."""

import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from config.base import clock
from config.base.ids import new_ids
from invoices.dev.seeding.invoices import Plan
from invoices.dev.seeding.loading import load
from invoices.dev.seeding.sellers import create_sellers, make_buyers
from invoices.models import LegalRules

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class Command(BaseCommand):
    help = "Fill the database with generated merchants and invoices and their history. Development only."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--invoices", type=int, default=10_000)
        parser.add_argument("--merchants", type=int, default=200)
        parser.add_argument("--days", type=int, default=30, help="over which the sales are spread, today included")

    def handle(self, *_: Any, **options: Any) -> None:
        if not settings.DEVELOPMENT:
            raise CommandError("seed creates generated invoices. It runs in development only.")
        if min(options["invoices"], options["merchants"], options["days"]) < 1:
            raise CommandError("--invoices, --merchants and --days must be at least 1.")
        if not _may_copy():
            raise CommandError("seed disables triggers while it copies. The database user must be a superuser.")
        if not LegalRules.objects.exists():
            call_command("loaddata", "legal_rules", verbosity=0)
        started = time.monotonic()
        first = new_ids(1)[0] >> 22 << 22
        run, now = _base36(first >> 22)[-6:], clock.now()
        sellers = create_sellers(options["merchants"], run, clock.day_vn(now).year)
        worker = settings.WORKER_ID << 12
        plan = Plan(options["invoices"], run, first | worker, now, options["days"], sellers, make_buyers())
        bar = (TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        console = Console(quiet=not options["verbosity"])
        with Progress(*bar, console=console) as progress:
            tasks: dict[str, TaskID] = {}

            def on_progress(phase: str, done: int, total: int) -> None:
                if phase not in tasks:
                    tasks[phase] = progress.add_task(phase, total=total)
                progress.update(tasks[phase], completed=done)

            load(plan, on_progress)
        console.print(f"{plan.count:,} invoices of {len(sellers)} merchants in {time.monotonic() - started:.0f} s.")
        console.print(f"Orders: {run}-00000000 to {run}-{plan.count - 1:08d}.")


def _may_copy() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        return cursor.fetchone()[0]


def _base36(number: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = DIGITS[digit] + text
    return text
