"""`manage.py resync_merchant ID`: apply the platform's latest data of a merchant again."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from merchants.models import Merchant, MerchantChange
from merchants.sync import apply_changes


class Command(BaseCommand):
    help = "Apply the platform's latest data of a merchant again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", help="the platform's id of the merchant")

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            outcome = apply_changes.resync(options["id"], source="resync_merchant")
        except MerchantChange.DoesNotExist:
            raise CommandError(f"The platform has sent no data of the merchant {options['id']}.") from None
        merchant = Merchant.objects.filter(code=options["id"]).first()
        problem = merchant.tax_problem if merchant else ""
        self.stdout.write(f"{options['id']}  {outcome}{f'  {problem}' if problem else ''}")
