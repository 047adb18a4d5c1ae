"""`manage.py environment [--write]`: every variable, its default and its meaning."""

import re
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from config.environment import table

SECTION = re.compile(r"(<!-- environment -->\n).*?(<!-- /environment -->)", re.DOTALL)


class Command(BaseCommand):
    help = "Print every environment variable as Markdown; --write puts the tables into docs/operations.md."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--write", action="store_true")

    def handle(self, *_: Any, **options: Any) -> None:
        if not options["write"]:
            self.stdout.write(table())
            return
        page = settings.ROOT / "docs" / "operations.md"
        page.write_text(SECTION.sub(lambda found: f"{found[1]}\n{table()}\n\n{found[2]}", page.read_text()))
