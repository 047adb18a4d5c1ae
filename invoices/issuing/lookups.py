"""Take look-ups that are due. They use up none of the account's slots."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import connection, transaction

from config.base import clock
from invoices.issuing.calls import MARGIN, Call, build_account, limits_of
from invoices.models import InvoiceIssuance
from invoices.providers import PROVIDERS

# Each look-up is leased: `not_before` moves past the longest call, so that no two workers look it up at once.
TAKE = """
UPDATE invoices_invoice SET not_before = %(lease)s FROM (
    SELECT id, row_number() OVER (PARTITION BY account_id ORDER BY not_before) AS place FROM (
        SELECT id, account_id, not_before FROM invoices_invoice
        WHERE state IN ('UNCERTAIN', 'SUBMITTED') AND partition = %(partition)s AND not_before <= %(now)s
          AND account_id <> ALL(%(busy)s)
        ORDER BY not_before LIMIT %(room)s FOR NO KEY UPDATE SKIP LOCKED) AS locked
) AS due WHERE due.id = invoices_invoice.id AND due.place <= %(per_account)s
RETURNING invoices_invoice.id, exposed_by
"""


def take_lookups(partition: int, room: int, busy: Iterable[int] = ()) -> list[Call]:
    """Take at most `room` look-ups that are due, none of the accounts in `busy`."""
    now = clock.now()
    with transaction.atomic(), connection.cursor() as cursor:
        limits = [limits_of(provider) for provider in PROVIDERS]
        lease = now + timedelta(seconds=max(2 * limit.total for limit in limits)) + MARGIN  # a login and a look-up
        cursor.execute(
            TAKE,
            {
                "partition": partition,
                "now": now,
                "lease": lease,
                "room": room,
                "busy": sorted(busy),
                "per_account": min(limit.lookups_in_flight for limit in limits),
            },
        )
        exposed_by = [row[1] for row in cursor.fetchall()]
    return build_lookups(exposed_by, now)


def build_lookups(issuance_ids: list[int], now: datetime) -> list[Call]:
    """Look-ups of attempts, at the account, tax code and reference that each attempt used."""
    if not issuance_ids:
        return []
    issuances = InvoiceIssuance.objects.select_related("account", "invoice").filter(pk__in=issuance_ids).order_by("pk")
    return [
        Call(
            invoice_id=issuance.invoice_id,
            issuance_id=issuance.pk,
            provider=issuance.provider,
            account=build_account(
                issuance.account,
                issuance.tax_code,
                issuance.invoice.form,
                issuance.invoice.symbol,
                issuance.account.template,
            ),
            started_at=now,
            reference=str(issuance.reference),
            about=issuance.invoice.about,
            attempt=issuance.attempt,
        )
        for issuance in issuances
    ]
