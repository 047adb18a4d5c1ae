"""Seal every secret anew under the current key, so that the previous one can be forgotten."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress

from config.base.encrypted_columns import SEALED, rotate

STEP = 100  # rows locked at once: some milliseconds


class Command(BaseCommand):
    help = "Seal every secret that is under an older key anew under the current one. Run it again to go on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Open everything, count it, write nothing.")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        lost: list[str] = []
        counts: dict[str, int] = {}
        with Progress(console=Console(stderr=True)) as bars:
            for sealed in SEALED:
                bar = bars.add_task(sealed.model, total=sealed.stale.count())
                counts[sealed.model] = 0
                for step in rotate(sealed, step=STEP, dry_run=dry_run):
                    counts[sealed.model] += step.done
                    lost += step.lost
                    bars.advance(bar, step.done + len(step.lost))
        for model, count in counts.items():
            self.stdout.write(f"{model}: {count} {'would be' if dry_run else 'were'} sealed anew")
        for name in lost:
            self.stderr.write(f"{name} opens with no key of the ring and was left as it is")
        # A process that still has the older key in front may have sealed something meanwhile.
        late = 0 if dry_run else sum(sealed.stale.count() for sealed in SEALED) - len(lost)
        if late:
            self.stderr.write(f"{late} were sealed with an older key meanwhile: run this again")
        if lost or late:
            raise CommandError("The previous key is still needed.")
        if not dry_run:
            self.stdout.write("Every secret is under the current key: the previous one may go.")
