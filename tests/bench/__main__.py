"""`make bench`: ingest, issuance, one account, memory. A warm-up, several rounds, median and spread."""

import argparse
import json
import os
import platform
import signal
import sys
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("HOADON_LOCAL", str(Path(__file__).resolve().parents[2] / ".local" / "bench"))
os.environ.setdefault("LOG_LEVEL", "WARNING")  # --json prints nothing else, and this process runs a worker's code once

import django

django.setup()

from django.conf import settings  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: E402

from config.base import clock  # noqa: E402
from invoices.dev.demo.processes import Processes  # noqa: E402
from invoices.lifecycle import State  # noqa: E402
from invoices.models import Invoice  # noqa: E402
from tests.bench.load import Sent, pay  # noqa: E402
from tests.bench.results import BenchResults, Issuance, percentile, yardstick  # noqa: E402
from tests.bench.stack import BenchStack, statements_per_invoice  # noqa: E402

LATENCIES = (0, 50, 200)
IN_FLIGHT = (1, 4)
ACCOUNT_LATENCY = 50
WARM_UP = 200


class Bench:
    def __init__(self, stack: BenchStack, wanted: argparse.Namespace, progress: Progress) -> None:
        self.stack, self.wanted, self.progress = stack, wanted, progress
        machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
        self.results = BenchResults(machine, {**vars(wanted), "account_latency": ACCOUNT_LATENCY})

    def run(self) -> BenchResults:
        rounds = self.wanted.rounds
        task = self.progress.add_task("Warm-up", total=rounds * (len(LATENCIES) + 1))
        self._warm_up()
        for at in range(rounds):
            for latency in LATENCIES:
                self.progress.update(task, description=f"Round {at + 1}, provider at {latency} ms")
                self._round(latency)
                self.progress.advance(task)
            self.progress.update(task, description=f"Round {at + 1}, one account")
            for in_flight in IN_FLIGHT:
                self._one_account(in_flight)
            self._count_statements()
            self.progress.advance(task)
        self.results.memory_mib = self.stack.peak_memory()
        return self.results

    def _warm_up(self) -> None:
        self.stack.set_latency(0)
        pay(self.stack.api, self.stack.merchants, WARM_UP)
        self.stack.wait_until_drained()

    def _round(self, latency: int) -> None:
        stack, count, ingest = self.stack, self.wanted.orders, self.results.ingest
        self.results.yardstick_ms.append(yardstick())
        stack.set_latency(latency)
        stack.pause_issuing()
        before = stack.cpu_seconds("api")
        sent = pay(stack.api, stack.merchants, count)
        ingest.cpu_ms.append(1000 * (stack.cpu_seconds("api") - before) / count)
        ingest.per_second.append(count / sent.seconds)
        ingest.p50_ms.append(1000 * percentile(sent.latencies, 50))
        ingest.p99_ms.append(1000 * percentile(sent.latencies, 99))
        issuance = self.results.issuance.setdefault(latency, Issuance())
        workers, provider = stack.cpu_seconds("worker"), stack.cpu_seconds("provider")
        issuance.per_second.append(count / self._drain())
        issuance.cpu_ms.append(1000 * (stack.cpu_seconds("worker") - workers) / count)
        issuance.provider_cpu_ms.append(1000 * (stack.cpu_seconds("provider") - provider) / count)
        self._steady_flow(issuance)

    def _drain(self) -> float:
        """Seconds from resuming to the last invoice number."""
        started = clock.now()
        self.stack.resume_issuing()
        self.stack.wait_until_drained()
        last = Invoice.objects.filter(state=State.ISSUED).latest("issued_at").issued_at
        assert last is not None
        return (last - started).total_seconds()

    def _steady_flow(self, issuance: Issuance) -> None:
        """The latency of a steady flow that the machine handles easily, without a full queue."""
        started = clock.now()
        self._flow()
        self.stack.wait_until_drained()
        rows = Invoice.objects.filter(created_at__gte=started).values_list("created_at", "issued_at")
        waited = [(issued - created).total_seconds() for created, issued in rows if issued]
        issuance.live_p50_ms.append(1000 * percentile(waited, 50))
        issuance.live_p99_ms.append(1000 * percentile(waited, 99))

    def _flow(self) -> Sent:
        rate = self.wanted.live_rate
        return pay(self.stack.api, self.stack.merchants, int(rate * self.wanted.live_seconds), rate=rate)

    def _one_account(self, in_flight: int) -> None:
        stack, count = self.stack, self.wanted.account_orders
        stack.set_latency(ACCOUNT_LATENCY)
        stack.set_in_flight(in_flight)
        stack.pause_issuing()
        pay(stack.api, stack.merchants[:1], count)
        self.results.one_account.setdefault(in_flight, []).append(count / self._drain())
        stack.set_in_flight(None)

    def _count_statements(self) -> None:
        """Run the worker's code in this process, so that its statements can be counted."""
        self.stack.set_latency(0)
        self.stack.pause_issuing()
        pay(self.stack.api, self.stack.merchants, self.wanted.orders)
        with self.stack.workers_frozen():
            self.results.statements_per_invoice.append(statements_per_invoice())
        self.stack.wait_until_drained()


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--orders", type=int, default=2000, help="orders of each round")
    parser.add_argument("--merchants", type=int, default=500)
    parser.add_argument("--account-orders", type=int, default=100)
    parser.add_argument("--live-rate", type=float, default=50.0, help="orders a second of the steady flow")
    parser.add_argument("--live-seconds", type=float, default=5.0)
    parser.add_argument("--json", action="store_true", help="print every round as JSON and nothing else")
    wanted = parser.parse_args()
    if not settings.DEVELOPMENT:
        sys.exit("The bench creates a database and sends generated payments: it runs in development only.")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(stderr=wanted.json)
    bar = (TextColumn("{task.description:<32}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Processes(settings.LOCAL / "logs") as processes:
        stack = BenchStack(processes)
        with console.status("Starting database, merchants, provider, API, workers …"):
            stack.start(wanted.merchants)
        with Progress(*bar, console=console) as progress:
            results = Bench(stack, wanted, progress).run()
    results.show(console)
    if wanted.json:
        sys.stdout.write(json.dumps(results.to_json(), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
