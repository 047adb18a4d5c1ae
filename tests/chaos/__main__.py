"""`make chaos`: real processes under faults. Exits 0 only if nothing is duplicated or lost and everything recovers."""

import argparse
import json
import os
import random
import secrets
import signal
import sys
import time
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("HOADON_LOCAL", str(Path(__file__).resolve().parents[2] / ".local" / "chaos"))
os.environ |= {  # seconds, where production waits for minutes
    "PROVIDER_SETTLE": "5",
    "PROVIDER_TIMEOUT": "10",
    "ISSUANCE_START_WITHIN": "5",
    "ISSUANCE_RETRY_STEPS": "1,2,3,4,5,5,5,5,5,5,10,10",
    "ISSUANCE_LOOKUP_STEPS": "1,2,3,5",
    "ACCOUNT_PARK_SECONDS": "3",
    "CLAIM_GRACE_SECONDS": "3",
    "SWEEP_SECONDS": "2",
    "EXPIRE_SECONDS": "2",
}
if os.environ.get("DATABASE_URL") or os.environ.get("REDIS_URL"):
    sys.exit("Chaos restarts PostgreSQL and flushes Redis: unset DATABASE_URL and REDIS_URL, it uses its own servers.")

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.db import connection  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: E402

from invoices.dev.demo import setup  # noqa: E402
from invoices.dev.demo.books import OPEN, compare_books  # noqa: E402
from invoices.dev.demo.day import Order, make_orders  # noqa: E402
from invoices.dev.demo.platform import Platform  # noqa: E402
from invoices.dev.demo.processes import Processes  # noqa: E402
from invoices.models import Invoice  # noqa: E402
from tests.chaos.faults import FaultInjector  # noqa: E402
from tests.chaos.report import Report, failures, sends  # noqa: E402
from tests.chaos.stack import ChaosStack  # noqa: E402
from webhooks.models import WebhookEvent  # noqa: E402

RECOVERY_TIMEOUT = 120.0  # seconds in which everything must recover by itself
SENDER_TIMEOUT = 120.0
CONCURRENCY = 64


def run_round(seed: int, wanted: argparse.Namespace, console: Console) -> Report:
    folder = settings.LOCAL / "logs" / f"seed-{seed}"
    with Processes(folder) as processes:
        stack = ChaosStack(processes, seed=seed, merchants=wanted.merchants)
        with console.status("Starting servers and processes …"):
            stack.start_servers()
            stack.start_processes()
            stack.inject_provider_faults()
        day = make_orders(wanted.orders, seed)
        random.Random(seed).shuffle(day)
        connection.close()
        platform = Platform(stack.api, retry_seconds=SENDER_TIMEOUT)
        injector = FaultInjector(
            processes, settings.LOCAL, settings.REDIS_URL, seed, lambda fault: console.print(f"[dim]{fault}")
        )
        injector.plan(wanted.orders / wanted.rate)
        bar = (TextColumn("{task.description:<22}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*bar, console=console) as progress:
            paid = progress.add_task("Orders are paid", total=len(day))
            injector.start()
            try:
                platform.play(day, lambda: progress.advance(paid), rate=wanted.rate, at_once=CONCURRENCY)
            finally:
                injector.stop()
            if injector.error:
                raise injector.error
            recovery = _wait_for_recovery(progress)
        return _report(seed, day, stack, platform, injector, recovery)


def _wait_for_recovery(progress: Progress) -> float | None:
    """Seconds until nothing is unfinished; None after the timeout."""
    started, task = time.monotonic(), progress.add_task("Everything recovers")
    most = 1
    while (passed := time.monotonic() - started) < RECOVERY_TIMEOUT:
        unfinished = Invoice.objects.filter(state__in=OPEN).count()
        unfinished += WebhookEvent.objects.filter(status=WebhookEvent.Status.FAILED).count()
        most = max(most, unfinished)
        progress.update(task, total=most, completed=most - unfinished)
        if not unfinished:
            return passed
        time.sleep(0.25)
    return None


def _report(
    seed: int,
    day: list[Order],
    stack: ChaosStack,
    platform: Platform,
    injector: FaultInjector,
    recovery: float | None,
) -> Report:
    simulator = f"{stack.simulator}/simulator"
    return Report(
        seed=seed,
        books=compare_books(day, setup.get_json(f"{simulator}/ledger")),
        ledger=setup.get_json(f"{simulator}/ledger?summary"),
        stats=setup.get_json(f"{simulator}/stats"),
        accepted=sum(bool(order.answer.get("invoiceId")) for order in day),
        failed=failures(),
        sends=sends(),
        kills=injector.injected.pop("kill", 0),
        died=injector.unexpected_exits(),
        injected=dict(injector.injected),
        resent=dict(platform.resent),
        seconds_to_recover=recovery,
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--orders", type=int, default=2000)
    parser.add_argument("--merchants", type=int, default=200)
    parser.add_argument("--rate", type=float, default=25.0, help="orders a second")
    parser.add_argument("--seed", type=int, help="seed of the first round; random by default")
    parser.add_argument("--json", action="store_true", help="print the reports as JSON and nothing else")
    wanted = parser.parse_args()
    if not settings.DEVELOPMENT:
        sys.exit("Chaos runs in development only.")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(stderr=wanted.json, quiet=wanted.json)
    first = wanted.seed if wanted.seed is not None else secrets.randbelow(10**6)
    reports = []
    for seed in range(first, first + wanted.rounds):
        console.print(f"Seed {seed}")
        reports.append(run_round(seed, wanted, console))
        reports[-1].show(console)
    if wanted.json:
        sys.stdout.write(json.dumps([report.to_json() for report in reports], ensure_ascii=False, indent=2) + "\n")
    passed = sum(report.passed for report in reports)
    console.print(f"{passed} of {len(reports)} rounds passed.")
    return 0 if passed == len(reports) else 1


if __name__ == "__main__":
    sys.exit(main())
