"""Print a bearer token for this machine's own API. Development only."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from config.rest import local_identity
from config.rest.identity import PERMISSIONS


class Command(BaseCommand):
    help = __doc__
    requires_system_checks: list[str] = []  # a token needs no database

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--sub", default="developer")
        parser.add_argument("--permissions", nargs="+", default=PERMISSIONS, choices=PERMISSIONS, metavar="CODE")
        parser.add_argument("--merchants", nargs="+", default=["*"], metavar="CODE", help='"*" is the whole platform')
        parser.add_argument("--minutes", type=int, default=60)

    def handle(self, **options: Any) -> None:
        sub, permissions, merchants = options["sub"], options["permissions"], options["merchants"]
        try:
            token = local_identity.issue_token(sub, permissions, merchants, seconds=options["minutes"] * 60)
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        self.stdout.write(token)
