"""`manage.py tax_drift [--fix]`: compare our tax data with the platform's latest."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from merchants.sync import apply_changes
from merchants.sync.drift import find_drifts, save_drifts


class Command(BaseCommand):
    help = "Compare the merchants' tax data with the platform's latest. Exits 1 if any differs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--fix", action="store_true", help="apply the platform's data if it can be used")

    def handle(self, *_: Any, **options: Any) -> None:
        drifts = list(find_drifts())
        if options["fix"]:
            for drift in drifts:
                apply_changes.resync(drift.code, source="tax_drift --fix")
            before, drifts = len(drifts), list(find_drifts())
            self.stdout.write(f"{before - len(drifts)} fixed")
        save_drifts()
        for drift in drifts:
            self.stdout.write("  ".join(filter(None, [drift.code, ", ".join(drift.fields), drift.problem])))
        if drifts:
            raise SystemExit(1)
        self.stdout.write("No drift.")
