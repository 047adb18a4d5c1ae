"""`manage.py replay_quarantined [ID…|--all]`: apply quarantined Kafka messages again."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from merchants.models import Quarantine
from merchants.sync import quarantine


class Command(BaseCommand):
    help = "Apply quarantined Kafka messages again. Without IDs or --all it lists them. Exits 1 if one fails again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("ids", nargs="*", type=int, metavar="ID")
        parser.add_argument("--all", action="store_true", help="replay all, oldest first")

    def handle(self, *_: Any, **options: Any) -> None:
        waiting = Quarantine.objects.filter(replayed_at=None).order_by("id")
        if not options["ids"] and not options["all"]:
            for row in waiting:
                self.stdout.write(f"{row.pk}  {row}  {row.error}")
            return
        failed = 0
        for pk in options["ids"] or list(waiting.values_list("pk", flat=True)):
            try:
                error = quarantine.replay(pk)
            except Quarantine.DoesNotExist:
                raise CommandError(f"There is no quarantined message {pk}.") from None
            failed += bool(error)
            self.stdout.write(f"{pk}  {error or 'replayed'}")
        if failed:
            raise SystemExit(1)
