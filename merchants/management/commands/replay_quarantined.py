"""`manage.py replay_quarantined [ID…|--all]`: act again on messages that nobody could act on."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from merchants.models import Quarantine
from merchants.sync import quarantine


class Command(BaseCommand):
    help = "Replay quarantined Kafka messages; without ids and --all it lists them. Exit 1 if one is still wrong."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("ids", nargs="*", type=int, metavar="ID")
        parser.add_argument("--all", action="store_true", help="the oldest first")

    def handle(self, *_: Any, **options: Any) -> None:
        waiting = Quarantine.objects.filter(replayed_at=None).order_by("id")
        if not options["ids"] and not options["all"]:
            for row in waiting:
                self.stdout.write(f"{row.pk}  {row}  {row.error}")
            return
        wrong = 0
        for pk in options["ids"] or list(waiting.values_list("pk", flat=True)):
            try:
                error = quarantine.replay(pk)
            except Quarantine.DoesNotExist:
                raise CommandError(f"There is no quarantined message {pk}.") from None
            wrong += bool(error)
            self.stdout.write(f"{pk}  {error or 'replayed'}")
        if wrong:
            raise SystemExit(1)
