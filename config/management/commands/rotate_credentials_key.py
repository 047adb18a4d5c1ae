"""Encrypt every secret with the current key, so that the previous key can be removed."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress

from config.base.encrypted_columns import ENCRYPTED_COLUMNS, rotate

STEP = 100  # rows locked at once: some milliseconds


class Command(BaseCommand):
    help = "Encrypt every secret that has an older key with the current key. If interrupted, run it again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Decrypt and count everything, write nothing.")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        lost: list[str] = []
        counts: dict[str, int] = {}
        with Progress(console=Console(stderr=True)) as bars:
            for column in ENCRYPTED_COLUMNS:
                bar = bars.add_task(column.model, total=column.stale.count())
                counts[column.model] = 0
                for step in rotate(column, step=STEP, dry_run=dry_run):
                    counts[column.model] += step.done
                    lost += step.lost
                    bars.advance(bar, step.done + len(step.lost))
        for model, count in counts.items():
            self.stdout.write(f"{model}: {count} {'would be' if dry_run else 'were'} encrypted with the current key")
        for name in lost:
            self.stderr.write(f"{name} cannot be decrypted with any key of the ring and was left as it is")
        # A process that still has the older key first may have written a secret meanwhile.
        late = 0 if dry_run else sum(column.stale.count() for column in ENCRYPTED_COLUMNS) - len(lost)
        if late:
            self.stderr.write(f"{late} were encrypted with an older key meanwhile: run this again")
        if lost or late:
            raise CommandError("The previous key is still needed.")
        if not dry_run:
            self.stdout.write("Every secret has the current key: the previous one can be removed.")
