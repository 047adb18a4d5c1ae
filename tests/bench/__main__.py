"""`make bench`: ingest, issuance, one lane, memory. A warm-up, several rounds, median and spread."""

import argparse
import json
import os
import platform
import signal
import sys
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("HOADON_LOCAL", str(Path(__file__).resolve().parents[2] / ".local" / "bench"))
os.environ.setdefault("LOG_LEVEL", "WARNING")  # this process plays a worker once, and --json prints nothing else

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
from tests.bench.stack import BenchStack, statements_an_invoice  # noqa: E402
from tests.bench.results import Issuance, BenchResults, percentile, yardstick  # noqa: E402

LATENCIES = (0, 50, 200)
LANE_SLOTS = (1, 4)
LANE_LATENCY = 50
WARM_UP = 200


class Bench:
    def __init__(self, scene: BenchStack, wanted: argparse.Namespace, progress: Progress) -> None:
        self.stack, self.wanted, self.progress = scene, wanted, progress
        machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
        self.results = BenchResults(machine, {**vars(wanted), "lane_latency": LANE_LATENCY})

    def run(self) -> BenchResults:
        rounds = self.wanted.rounds
        task = self.progress.add_task("Warm-up", total=rounds * (len(LATENCIES) + 1))
        self._warm_up()
        for at in range(rounds):
            for latency in LATENCIES:
                self.progress.update(task, description=f"Round {at + 1}, provider at {latency} ms")
                self._round(latency)
                self.progress.advance(task)
            self.progress.update(task, description=f"Round {at + 1}, one lane")
            for slots in LANE_SLOTS:
                self._lane(slots)
            self._count()
            self.progress.advance(task)
        self.results.memory_mib = self.stack.peak_memory()
        return self.results

    def _warm_up(self) -> None:
        self.stack.latency(0)
        pay(self.stack.api, self.stack.merchants, WARM_UP)
        self.stack.drained()

    def _round(self, latency: int) -> None:
        scene, count, ingest = self.stack, self.wanted.orders, self.results.ingest
        self.results.yardstick_ms.append(yardstick())
        scene.latency(latency)
        scene.hold()
        before = scene.cpu("api")
        sent = pay(scene.api, scene.merchants, count)
        ingest.cpu_ms.append(1000 * (scene.cpu("api") - before) / count)
        ingest.per_second.append(count / sent.seconds)
        ingest.p50_ms.append(1000 * percentile(sent.latencies, 50))
        ingest.p99_ms.append(1000 * percentile(sent.latencies, 99))
        of = self.results.issuance.setdefault(latency, Issuance())
        workers, provider = scene.cpu("worker"), scene.cpu("provider")
        of.per_second.append(count / self._drain())
        of.cpu_ms.append(1000 * (scene.cpu("worker") - workers) / count)
        of.provider_cpu_ms.append(1000 * (scene.cpu("provider") - provider) / count)
        self._live(of)

    def _drain(self) -> float:
        """Seconds from letting go to the last number."""
        started = clock.now()
        self.stack.let_go()
        self.stack.drained()
        last = Invoice.objects.filter(state=State.ISSUED).latest("issued_at").issued_at
        assert last is not None
        return (last - started).total_seconds()

    def _live(self, of: Issuance) -> None:
        """A steady flow that the machine bears easily: what a merchant sees, not what a full queue costs."""
        started = clock.now()
        self._flow()
        self.stack.drained()
        rows = Invoice.objects.filter(created_at__gte=started).values_list("created_at", "issued_at")
        waited = [(issued - created).total_seconds() for created, issued in rows if issued]
        of.live_p50_ms.append(1000 * percentile(waited, 50))
        of.live_p99_ms.append(1000 * percentile(waited, 99))

    def _flow(self) -> Sent:
        rate = self.wanted.live_rate
        return pay(self.stack.api, self.stack.merchants, int(rate * self.wanted.live_seconds), rate=rate)

    def _lane(self, slots: int) -> None:
        scene, count = self.stack, self.wanted.lane_orders
        scene.latency(LANE_LATENCY)
        scene.slots(slots)
        scene.hold()
        pay(scene.api, scene.merchants[:1], count)
        self.results.lanes.setdefault(slots, []).append(count / self._drain())
        scene.slots(None)

    def _count(self) -> None:
        """Our own process plays the worker, so that its statements can be counted."""
        self.stack.latency(0)
        self.stack.hold()
        pay(self.stack.api, self.stack.merchants, self.wanted.orders)
        with self.stack.workers_held():
            self.results.statements_an_invoice.append(statements_an_invoice())
        self.stack.drained()


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--orders", type=int, default=2000, help="of each round")
    parser.add_argument("--merchants", type=int, default=500)
    parser.add_argument("--lane-orders", type=int, default=100)
    parser.add_argument("--live-rate", type=float, default=50.0, help="orders a second of the steady flow")
    parser.add_argument("--live-seconds", type=float, default=5.0)
    parser.add_argument("--json", action="store_true", help="print every round as JSON and nothing else")
    wanted = parser.parse_args()
    if not settings.DEVELOPMENT:
        sys.exit("The bench makes a database and sends invented payments: it runs in development only.")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(stderr=wanted.json)
    bar = (TextColumn("{task.description:<32}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Processes(settings.LOCAL / "logs") as crew:
        scene = BenchStack(crew)
        with console.status("Setting the stage: database, merchants, provider, API, workers …"):
            scene.set(wanted.merchants)
        with Progress(*bar, console=console) as progress:
            figures = Bench(scene, wanted, progress).run()
    figures.show(console)
    if wanted.json:
        sys.stdout.write(json.dumps(figures.to_json(), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
