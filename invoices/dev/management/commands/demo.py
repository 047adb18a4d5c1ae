"""`manage.py demo`: start everything, send a simulated day of orders, compare both sides' records, keep running."""

import json
import os
import signal
import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from config.base import clock
from config.processes.run_modes import api, beat, manage, worker
from invoices.dev.demo import setup
from invoices.dev.demo.books import OPEN, Books, compare_books
from invoices.dev.demo.day import make_orders
from invoices.dev.demo.merchant_rename import MerchantRename
from invoices.dev.demo.platform import Platform, open_claims
from invoices.dev.demo.processes import Processes, free_port
from invoices.models import Invoice
from invoices.queues import BACKGROUND, DELIVERIES, expiry_queue, issuance_queue

ISSUE_TIMEOUT = 180  # seconds until all invoices are issued


class Command(BaseCommand):
    help = "Start everything, send a simulated day of orders, and compare our records with the provider's."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--once", action="store_true", help="stop after the comparison; exit 1 if the records differ"
        )
        parser.add_argument("--orders", type=int, default=300)
        parser.add_argument("--json", action="store_true", help="print the result as JSON and nothing else")

    def handle(self, *_: Any, **options: Any) -> None:
        if not settings.DEVELOPMENT:
            raise CommandError("The demo creates a database and sends simulated orders. It runs in development only.")
        if options["orders"] < 1:
            raise CommandError("--orders must be at least 1.")
        console = Console(stderr=options["json"], quiet=options["json"])
        for number in (signal.SIGINT, signal.SIGTERM):  # even if the shell made this process ignore Ctrl-C
            signal.signal(number, signal.default_int_handler)
        started = time.monotonic()
        try:
            with Processes(settings.LOCAL / "demo") as processes:
                books = self._run(processes, options["orders"], console)
                seconds = time.monotonic() - started
                if options["json"]:
                    self.stdout.write(json.dumps(books.to_json(seconds), ensure_ascii=False))
                self._show(console, books, seconds)
                if not options["once"]:
                    console.print("\nEverything keeps running until Ctrl-C.")
                    signal.pause()
        except KeyboardInterrupt:
            console.print("Stopping …")
            return
        if not books.agree:
            raise SystemExit(1)

    def _run(self, processes: Processes, count: int, console: Console) -> Books:
        port, vendor = free_port(settings.PORT), free_port(31141)
        clock.start_at(10)
        address, simulator = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{vendor}"
        os.environ |= {"PUBLIC_URL": address, "CLAIM_GRACE_SECONDS": "3", "EXPIRE_SECONDS": "2", "SWEEP_SECONDS": "2"}
        settings.PUBLIC_URL = address
        with console.status("Creating the database, the merchants and the provider …"):
            setup.use_own_databases()
            processes.start("provider", *manage("simulate_provider", "--port", str(vendor), "--latency", "30"))
            processes.wait_for("provider", f"{simulator}/simulator/stats")
            self.password = setup.create_merchants(simulator)
        with console.status("Starting the API, the workers and beat …"):
            processes.start("api", *api(port))
            for partition in range(settings.PARTITIONS):
                processes.start(f"worker-{partition}", *worker(f"issuance-{partition}", issuance_queue(partition)))
            claims = [expiry_queue(partition) for partition in range(settings.PARTITIONS)]
            processes.start("worker-sweep", *worker("sweep", "hoadon", *claims))
            processes.start("worker-background", *worker("background", BACKGROUND, DELIVERIES))
            processes.start("beat", *beat())
            self.merchant_rename = MerchantRename(processes)
            processes.wait_for("api", f"{address}/admin/login/")
        self.address, day = address, make_orders(count)
        bar = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*bar, console=console) as progress:
            sent = progress.add_task("Orders are paid and claimed", total=count)
            self.merchant_rename.send()
            Platform(address).play(day, lambda: progress.advance(sent))
            issued = progress.add_task("Invoices are issued", total=count)
            self._wait(lambda done: progress.update(issued, completed=done), count)
        self.merchant_rename.wait()
        self.open = open_claims(day)
        return compare_books(day, setup.get_json(f"{simulator}/simulator/ledger"))

    def _wait(self, on_progress: Any, count: int) -> None:
        """Until all invoices are issued, or the timeout. The comparison then shows the missing ones."""
        until = time.monotonic() + ISSUE_TIMEOUT
        while time.monotonic() < until:
            left = Invoice.objects.filter(state__in=OPEN).count()
            on_progress(count - left)
            if not left:
                return
            time.sleep(0.2)

    def _show(self, console: Console, books: Books, seconds: float) -> None:
        table = Table(title="Result of the day", show_header=False, title_justify="left")
        table.add_row("Orders paid", f"{books.orders}")
        for state, count in sorted(books.states.items()):
            table.add_row(f"  {state}", f"{count}")
        table.add_row("Invoices in the provider's ledger", f"{books.ledger}")
        table.add_row("Duplicates", f"{books.duplicates}")
        table.add_row("Lost", f"{len(books.lost)}")
        table.add_row("Slowest from take to issue", f"{books.slowest[1]:.2f} s ({books.slowest[0]})")
        table.add_row("Amount paid that needs invoices", f"{books.paid_total:,} ₫".replace(",", "."))
        table.add_row("Amount invoiced", f"{books.invoiced_total:,} ₫".replace(",", "."))
        table.add_row("Amount received in total", f"{books.received_total:,} ₫".replace(",", "."))
        table.add_row("Merchant renamed over Kafka", self.merchant_rename.outcome)
        table.add_row("Seconds", f"{seconds:.1f}")
        console.print(table)
        for discrepancy in books.lost[:20]:
            console.print(f"[red]{discrepancy}[/red]")
        console.print(f"Console     {self.address}/admin/   operator / {self.password}")
        if self.open:
            console.print(f"Claim page  {self.open[0].claim_url}   (order {self.open[0].id})")
