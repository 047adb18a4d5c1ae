"""The rows of a seed's invoices, with what closes their accounts, as the invariants read them."""

from collections import namedtuple
from typing import TYPE_CHECKING

from django.db import connection

if TYPE_CHECKING:
    from tests.simulation.world.world import World

OF_INVOICE = [
    *("id", "order_id", "merchant_id", "partition", "state", "failure", "reference", "account_id", "symbol", "number"),
    *("total", "document", "issue_date", "issue_until", "not_before", "claim_deadline", "exposed_at", "exposed_by"),
    *("first_uncertain_at", "final_lookup_at", "refunded_amount", "settled_refund", "correction_owed"),
    *("audit_seq", "audit_hash"),
]
COMPUTED = {
    "in_flight": "a.in_flight",
    "buyer_name": "coalesce(i.buyer->>'name', '')",
    "account_closed": "NOT a.is_active OR a.paused OR a.deleted_at IS NOT NULL",
    "parked_until": "a.parked_until",
    "parked_for_login": "a.parked_for_login",
    "merchant_paused": "m.paused",
    "partition_paused": "EXISTS (SELECT FROM invoices_partition p WHERE p.number = i.partition AND p.paused)",
}
Row = namedtuple("Row", [*OF_INVOICE, *COMPUTED])  # noqa: PYI024  (its columns are written once)
SQL = (
    f"SELECT {', '.join([*(f'i.{column}' for column in OF_INVOICE), *COMPUTED.values()])} FROM invoices_invoice i "
    "JOIN merchants_provideraccount a ON a.id = i.account_id JOIN merchants_merchant m ON m.id = i.merchant_id "
    "WHERE i.merchant_id = ANY(%s) ORDER BY i.id"
)


def read_rows(world: "World") -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(SQL, [[merchant.pk for merchant in world.merchants.values()]])
        return [Row(*row)._replace(reference=str(row[6])) for row in cursor.fetchall()]
