"""`manage.py replay_issuance ORDER --reason TEXT`: once more, in the one way that cannot issue twice."""

import getpass
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from invoices.lifecycle import WrongState
from invoices.management.orders import add_order, documents_of
from invoices.operations.replay import replay


class Command(BaseCommand):
    help = "Send an order's invoice again where no provider can know it, ask about it where one may."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_order(parser)
        parser.add_argument("--reason", required=True, help="why; it is kept in the audit")
        parser.add_argument("--dry-run", action="store_true", help="tell what would happen and do nothing")

    def handle(self, *_: Any, **options: Any) -> None:
        if not options["reason"].strip():
            raise CommandError("--reason must say why: it is kept in the audit.")
        actor = f"shell:{getpass.getuser()}"
        for invoice in documents_of(options["order"], options["merchant"]):
            try:
                result = replay(invoice, actor=actor, reason=options["reason"], dry_run=options["dry_run"])
            except WrongState as error:
                raise CommandError(str(error)) from None
            verb = "would become" if options["dry_run"] and result.acted else "is now" if result.acted else "stays"
            self.stdout.write(f"{invoice} {verb} {result.state}: {result.why}")
