"""`make chaos`: real processes under faults. Exit 0 only with no duplicate, nothing lost, and everything healed."""

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
os.environ |= {  # an operator's patience in minutes, a round's in seconds
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
    sys.exit("Chaos restarts PostgreSQL and flushes Redis: it does so to servers of its own, never to yours.")

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.db import connection  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: E402

from invoices.dev.demo import stage  # noqa: E402
from invoices.dev.demo.books import OPEN, compare_books  # noqa: E402
from invoices.dev.demo.day import Order, make_orders  # noqa: E402
from invoices.dev.demo.platform import Platform  # noqa: E402
from invoices.dev.demo.processes import Processes  # noqa: E402
from invoices.models import Invoice  # noqa: E402
from tests.chaos.faults import FaultInjector  # noqa: E402
from tests.chaos.stack import ChaosStack  # noqa: E402
from tests.chaos.report import Report, failures, sends  # noqa: E402
from webhooks.models import WebhookEvent  # noqa: E402

PATIENCE = 120.0  # seconds in which everything heals by itself
SENDER_PATIENCE = 120.0
AT_ONCE = 64


def round_of(seed: int, wanted: argparse.Namespace, console: Console) -> Report:
    folder = settings.LOCAL / "logs" / f"seed-{seed}"
    with Processes(folder) as crew:
        scene = ChaosStack(crew, seed=seed, merchants=wanted.merchants)
        with console.status("Setting the stage …"):
            scene.set()
            scene.open()
            scene.misbehave()
        day = make_orders(wanted.orders, seed)
        random.Random(seed).shuffle(day)
        connection.close()
        platform = Platform(scene.api, patience=SENDER_PATIENCE)
        mischief = FaultInjector(
            crew, settings.LOCAL, settings.REDIS_URL, seed, lambda deed: console.print(f"[dim]{deed}")
        )
        mischief.plan(wanted.orders / wanted.rate)
        bar = (TextColumn("{task.description:<22}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*bar, console=console) as progress:
            paid = progress.add_task("Orders are paid", total=len(day))
            mischief.start()
            try:
                platform.live(day, lambda: progress.advance(paid), rate=wanted.rate, at_once=AT_ONCE)
            finally:
                mischief.stop()
            if mischief.error:
                raise mischief.error
            healed = _heal(progress)
        return _report(seed, day, scene, platform, mischief, healed)


def _heal(progress: Progress) -> float | None:
    """Seconds until nothing is owed any more; None where patience ends first."""
    started, task = time.monotonic(), progress.add_task("Everything heals")
    most = 1
    while (passed := time.monotonic() - started) < PATIENCE:
        owed = Invoice.objects.filter(state__in=OPEN).count()
        owed += WebhookEvent.objects.filter(status=WebhookEvent.Status.FAILED).count()
        most = max(most, owed)
        progress.update(task, total=most, completed=most - owed)
        if not owed:
            return passed
        time.sleep(0.25)
    return None


def _report(
    seed: int,
    day: list[Order],
    scene: ChaosStack,
    platform: Platform,
    mischief: FaultInjector,
    healed: float | None,
) -> Report:
    simulator = f"{scene.simulator}/simulator"
    return Report(
        seed=seed,
        books=compare_books(day, stage.get_json(f"{simulator}/ledger")),
        ledger=stage.get_json(f"{simulator}/ledger?summary"),
        stats=stage.get_json(f"{simulator}/stats"),
        accepted=sum(bool(order.answer.get("invoiceId")) for order in day),
        failed=failures(),
        sends=sends(),
        kills=mischief.done.pop("kill", 0),
        died=mischief.count_the_dead(),
        deeds=dict(mischief.done),
        resent=dict(platform.unheard),
        seconds_to_heal=healed,
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--orders", type=int, default=2000)
    parser.add_argument("--merchants", type=int, default=200)
    parser.add_argument("--rate", type=float, default=25.0, help="orders a second")
    parser.add_argument("--seed", type=int, help="of the first round; drawn where none is given")
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
        reports.append(round_of(seed, wanted, console))
        reports[-1].show(console)
    if wanted.json:
        sys.stdout.write(json.dumps([report.to_json() for report in reports], ensure_ascii=False, indent=2) + "\n")
    good = sum(report.well for report in reports)
    console.print(f"{good} of {len(reports)} rounds ended well.")
    return 0 if good == len(reports) else 1


if __name__ == "__main__":
    sys.exit(main())
