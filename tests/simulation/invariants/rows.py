"""The rows of a seed's invoices, as the invariants read them."""

from collections import namedtuple
from typing import TYPE_CHECKING

from django.db import connection

if TYPE_CHECKING:
    from tests.simulation.world.world import World

COLUMNS = [
    *("id", "order_id", "merchant_id", "partition", "state", "failure", "reference", "account_id", "in_flight"),
    *("symbol", "number", "total", "document", "issue_date", "issue_until", "not_before", "claim_deadline"),
    *(
        "exposed_at",
        "first_uncertain_at",
        "final_lookup_at",
        "refunded_amount",
        "correction_owed",
        "audit_seq",
        "audit_hash",
    ),
    *("settled_refund", "buyer_name"),
]
Row = namedtuple("Row", COLUMNS)
EXPRESSIONS = {"in_flight": "a.in_flight", "buyer_name": "coalesce(i.buyer->>'name', '')"}
SQL = (
    f"SELECT {', '.join(EXPRESSIONS.get(c, f'i.{c}') for c in COLUMNS)} FROM invoices_invoice i "
    "JOIN merchants_provideraccount a ON a.id = i.account_id WHERE i.merchant_id = ANY(%s) ORDER BY i.id"
)


def read_rows(world: "World") -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(SQL, [[merchant.pk for merchant in world.merchants.values()]])
        return [Row(*row)._replace(reference=str(row[6])) for row in cursor.fetchall()]
