"""The invariants after every step and at the end of a seed. Each check returns what is wrong, or ""."""

from collections import Counter, namedtuple
from typing import TYPE_CHECKING

from django.db import connection

from invoices.audit import chain_hash
from invoices.lifecycle import ENDED, NUMBERED, OWED, Reason, State
from invoices.models import InvoiceAuditTracing
from tests.simulation.expected_end import unexpected_end
from tests.simulation.vendor import LIMITS

if TYPE_CHECKING:
    from tests.simulation.world import World

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


def step_violation(world: "World") -> str:
    """After every step."""
    rows = world.rows
    sending = Counter(row.account_id for row in rows if row.state == State.SENDING)
    for row in rows:
        if problem := _row_violation(world, row):
            return f"{row.order_id} ({row.state} {row.failure}) {problem}"
        allowed = row.in_flight or LIMITS.in_flight
        if sending[row.account_id] > allowed:
            return f"{sending[row.account_id]} sends are open at an account that allows {allowed}"
    return ""


def _row_violation(world: "World", row: Row) -> str:
    vendor = world.vendor
    live = vendor.live(row.reference)
    if len(live) > 1:
        return f"has {len(live)} live invoices at the provider"
    if row.exposed_at is None and not (vendor.strict and row.first_uncertain_at):
        if vendor.known(row.reference):
            return "is not exposed, yet the provider has it"
        if world.network.may_reach(row.reference):
            return "is not exposed, yet a send of it is open"
    if row.failure == Reason.CONFLICT and row.exposed_at is None:
        return "is in conflict, yet counts as unknown to the provider"
    if row.number and row.number not in [p.number for p in vendor.known(row.reference, row.account_id)]:
        return f"has the number {row.number}, which the provider never gave it"
    if row.reference in vendor.backwards and row.state in OWED and not vendor.strict:
        return "was overtaken by a later day of its account"
    if (
        row.refunded_amount > row.settled_refund
        and row.state in (State.ISSUED, State.SUBMITTED)
        and not row.correction_owed
    ):
        return "was refunded and issued, yet owes no correction"
    return ""


def order_violation(world: "World", taken: set[int]) -> str:
    """After a take: an account must send its earlier days first."""
    rows = world.rows
    owed = [row for row in rows if row.state in OWED]
    for row in rows:
        if row.id in taken:
            for other in owed:
                if other.account_id == row.account_id and other.issue_date < row.issue_date:
                    return f"{row.order_id} of {row.issue_date} was taken before {other.order_id} of {other.issue_date}"
    return ""


def final_violation(world: "World") -> str:
    """At the end of a seed."""
    rows = world.rows
    paid = {(sale["merchantId"], sale["orderId"]) for sale in world.sales}
    if len(rows) != len(paid):
        return f"{len(paid)} orders were paid and there are {len(rows)} invoices"
    violation = next((problem for row in rows if (problem := _final_row_violation(world, row))), "")
    return violation or _audit_violation(rows) or unexpected_end(world)


def _final_row_violation(world: "World", row: Row) -> str:
    vendor = world.vendor
    name = f"{row.order_id} ({row.state} {row.failure})"
    live = vendor.live(row.reference)
    if row.state not in ENDED or (row.state == State.FAILED and not row.failure):
        return f"{name} did not reach a final state"
    if row.state in NUMBERED:
        if not live:
            return f"{name} is not in the provider's books"
        booked = live[0]
        if (booked.symbol, booked.number, booked.account) != (row.symbol, row.number, row.account_id):
            return f"{name} is {row.number} and the provider has it as {booked.number}"
        if booked.document != row.document or booked.content["total"] != row.total:
            return f"{name} is in the provider's books with other content"
        return ""
    if row.failure == Reason.REJECTED:
        return "" if vendor.known(row.reference) and not live else f"{name} was not rejected"
    if row.failure == Reason.CONFLICT:
        allowed = vendor.known(row.reference) and (vendor.strict or row.id in world.skipped)
        return "" if allowed else f"{name} without a reason"
    return f"{name}, yet the provider has it" if vendor.known(row.reference) else ""


def _audit_violation(rows: list[Row]) -> str:
    heads = {row.id: (0, "") for row in rows}
    for tracing in InvoiceAuditTracing.objects.filter(invoice__in=heads).order_by("invoice_id", "seq"):
        seq, previous = heads[tracing.invoice_id]
        if tracing.seq != seq + 1 or tracing.hash != chain_hash(previous, tracing.record):
            return f"the audit is broken at {tracing}"
        heads[tracing.invoice_id] = tracing.seq, tracing.hash
    cut = [row.order_id for row in rows if heads[row.id] != (row.audit_seq, row.audit_hash)]
    return f"the audit's tail was cut: {cut}" if cut else ""
