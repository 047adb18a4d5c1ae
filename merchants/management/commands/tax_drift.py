"""`manage.py tax_drift [--fix]`: is our tax data what the platform told us last?"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from merchants.sync import changes
from merchants.sync.drift import drifts, note


class Command(BaseCommand):
    help = "Compare the merchants' tax data with what the platform told us last. Exit 1 if any differs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--fix", action="store_true", help="take the platform's, where it can be used")

    def handle(self, *_: Any, **options: Any) -> None:
        found = list(drifts())
        if options["fix"]:
            for drift in found:
                changes.replay(drift.code, source="tax_drift --fix")
            fixed, found = len(found), list(drifts())
            self.stdout.write(f"{fixed - len(found)} fixed")
        note()
        for drift in found:
            self.stdout.write("  ".join(filter(None, [drift.code, ", ".join(drift.fields), drift.problem])))
        if found:
            raise SystemExit(1)
        self.stdout.write("No drift.")
