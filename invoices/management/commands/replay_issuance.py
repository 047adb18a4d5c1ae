"""`manage.py replay_issuance ORDER --reason TEXT`: send or look up again, whichever cannot issue twice."""

import getpass
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from invoices.lifecycle import WrongState
from invoices.management.orders import add_order_argument, find_documents
from invoices.operations.replay import replay


class Command(BaseCommand):
    help = "Send an order's invoice again if no provider can know it; look it up if one may."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_order_argument(parser)
        parser.add_argument("--reason", required=True, help="stored in the audit")
        parser.add_argument("--dry-run", action="store_true", help="print what would happen and change nothing")

    def handle(self, *_: Any, **options: Any) -> None:
        if not options["reason"].strip():
            raise CommandError("--reason must not be empty: it is stored in the audit.")
        actor = f"shell:{getpass.getuser()}"
        for invoice in find_documents(options["order"], options["merchant"]):
            try:
                result = replay(invoice, actor=actor, reason=options["reason"], dry_run=options["dry_run"])
            except WrongState as error:
                raise CommandError(str(error)) from None
            verb = "would become" if options["dry_run"] and result.acted else "is now" if result.acted else "stays"
            self.stdout.write(f"{invoice} {verb} {result.state}: {result.why}")
