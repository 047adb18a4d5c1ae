"""`manage.py demo`: start everything, live a day of orders, lay the books beside each other, stay up."""

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
from invoices.dev.demo import stage
from invoices.dev.demo.books import OPEN, Books, compare_books
from invoices.dev.demo.day import make_orders
from invoices.dev.demo.platform import Platform, open_claims
from invoices.dev.demo.processes import Processes, free_port
from invoices.dev.demo.renaming import Renaming
from invoices.models import Invoice
from invoices.queues import BACKGROUND, DELIVERIES, expiry_queue, issuance_queue

PATIENCE = 180  # seconds for everything that is owed to be issued


class Command(BaseCommand):
    help = "Start everything, send a day of signed payments through it, and show that both sides' books agree."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--once", action="store_true", help="stop when the books are compared; exit 1 if they differ"
        )
        parser.add_argument("--orders", type=int, default=300)
        parser.add_argument("--json", action="store_true", help="print the result as JSON and nothing else")

    def handle(self, *_: Any, **options: Any) -> None:
        if not settings.DEVELOPMENT:
            raise CommandError("The demo makes a database and sends invented orders: it runs in development only.")
        if options["orders"] < 1:
            raise CommandError("--orders must be at least 1.")
        console = Console(stderr=options["json"], quiet=options["json"])
        for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell told us to ignore Ctrl-C
            signal.signal(number, signal.default_int_handler)
        started = time.monotonic()
        try:
            with Processes(settings.LOCAL / "demo") as crew:
                books = self._live(crew, options["orders"], console)
                seconds = time.monotonic() - started
                if options["json"]:
                    self.stdout.write(json.dumps(books.to_json(seconds), ensure_ascii=False))
                self._show(console, books, seconds)
                if not options["once"]:
                    console.print("\nEverything stays up until Ctrl-C.")
                    signal.pause()
        except KeyboardInterrupt:
            console.print("Stopping what was started …")
            return
        if not books.agree:
            raise SystemExit(1)

    def _live(self, crew: Processes, count: int, console: Console) -> Books:
        port, vendor = free_port(settings.PORT), free_port(31141)
        clock.start_at(10)
        address, simulator = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{vendor}"
        os.environ |= {"PUBLIC_URL": address, "CLAIM_GRACE_SECONDS": "3", "EXPIRE_SECONDS": "2", "SWEEP_SECONDS": "2"}
        settings.PUBLIC_URL = address
        with console.status("Setting the stage: database, cast, provider …"):
            stage.use_own_databases()
            crew.start("provider", *manage("simulate_provider", "--port", str(vendor), "--latency", "30"))
            crew.wait_for("provider", f"{simulator}/simulator/stats")
            self.password = stage.create_merchants(simulator)
        with console.status("Starting the API, the workers and beat …"):
            crew.start("api", *api(port))
            for partition in range(settings.PARTITIONS):
                crew.start(f"worker-{partition}", *worker(f"issuance-{partition}", issuance_queue(partition)))
            claims = [expiry_queue(partition) for partition in range(settings.PARTITIONS)]
            crew.start("worker-sweep", *worker("sweep", "hoadon", *claims))
            crew.start("worker-errands", *worker("errands", BACKGROUND, DELIVERIES))
            crew.start("beat", *beat())
            self.renaming = Renaming(crew)
            crew.wait_for("api", f"{address}/admin/login/")
        self.address, day = address, make_orders(count)
        bar = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*bar, console=console) as progress:
            sent = progress.add_task("Orders are paid and claimed", total=count)
            self.renaming.send()
            Platform(address).live(day, lambda: progress.advance(sent))
            issued = progress.add_task("Invoices are issued", total=count)
            self._wait(lambda done: progress.update(issued, completed=done), count)
        self.renaming.wait()
        self.open = open_claims(day)
        return compare_books(day, stage.get_json(f"{simulator}/simulator/ledger"))

    def _wait(self, told: Any, count: int) -> None:
        """Until nothing is owed any more, or patience ends; the books will say what is missing."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            left = Invoice.objects.filter(state__in=OPEN).count()
            told(count - left)
            if not left:
                return
            time.sleep(0.2)

    def _show(self, console: Console, books: Books, seconds: float) -> None:
        table = Table(title="A day's books", show_header=False, title_justify="left")
        table.add_row("Orders paid", f"{books.orders}")
        for state, count in sorted(books.states.items()):
            table.add_row(f"  {state}", f"{count}")
        table.add_row("Invoices in the provider's ledger", f"{books.ledger}")
        table.add_row("Duplicates", f"{books.duplicates}")
        table.add_row("Lost", f"{len(books.lost)}")
        table.add_row("Slowest, taken to issued", f"{books.slowest[1]:.2f} s ({books.slowest[0]})")
        table.add_row("Money paid that owes an invoice", f"{books.paid_total:,} ₫".replace(",", "."))
        table.add_row("Money invoiced", f"{books.invoiced_total:,} ₫".replace(",", "."))
        table.add_row("Money received in all", f"{books.received_total:,} ₫".replace(",", "."))
        table.add_row("Merchant renamed over Kafka", self.renaming.outcome)
        table.add_row("Seconds", f"{seconds:.1f}")
        console.print(table)
        for wrong in books.lost[:20]:
            console.print(f"[red]{wrong}[/red]")
        console.print(f"Console     {self.address}/admin/   operator / {self.password}")
        if self.open:
            console.print(f"Claim page  {self.open[0].claim_url}   (order {self.open[0].id})")
