"""`manage.py partition ORDER…`: the partition of each order. Needs no database."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from invoices.queues import partition_of


class Command(BaseCommand):
    help = "Print the partition of each order, one line each."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("orders", metavar="ORDER", nargs="+")

    def handle(self, *_: Any, **options: Any) -> None:
        for order in options["orders"]:
            self.stdout.write(f"{order}\t{partition_of(order)}")
