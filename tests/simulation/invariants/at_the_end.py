"""The invariants at the end of a seed."""

from collections import defaultdict
from typing import TYPE_CHECKING

from invoices.audit import chain_hash
from invoices.lifecycle import ENDED, NUMBERED, Reason, State
from invoices.models import InvoiceAuditTracing
from tests.simulation.invariants.answers import answer_violation
from tests.simulation.invariants.expected_end import unexpected_end
from tests.simulation.invariants.rows import Row

if TYPE_CHECKING:
    from tests.simulation.world.world import World


def final_violation(world: "World") -> str:
    """At the end of a seed."""
    rows = world.rows
    paid = {(sale["merchantId"], sale["orderId"]) for sale in world.sales}
    if len(rows) != len(paid):
        return f"{len(paid)} orders were paid and there are {len(rows)} invoices"
    if violation := next((problem for row in rows if (problem := _final_row_violation(world, row))), ""):
        return violation
    trails = defaultdict(list)
    tracings = list(InvoiceAuditTracing.objects.filter(invoice__in=[r.id for r in rows]).order_by("invoice_id", "seq"))
    for tracing in tracings:
        trails[tracing.invoice_id].append(tracing.content)
    return _audit_violation(rows, tracings) or answer_violation(world, trails) or unexpected_end(world, trails)


def _final_row_violation(world: "World", row: Row) -> str:
    vendor = world.vendor
    name = f"{row.order_id} ({row.state} {row.failure})"
    live = vendor.live(row.reference)
    if row.state not in ENDED or (row.state == State.FAILED and not row.failure):
        return f"{name} did not reach a final state"
    if row.state in NUMBERED:
        if not live:
            return f"{name} is not in the provider's books"
        booked = next((b for b in live if (b.symbol, b.number) == (row.symbol, row.number)), live[0])
        if (booked.symbol, booked.number, booked.account) != (row.symbol, row.number, row.account_id):
            return f"{name} is {row.number} and the provider has it as {booked.number}"
        if booked.document != row.document or booked.content["total"] != row.total:
            return f"{name} is in the provider's books with other content"
        return ""
    if row.failure == Reason.REJECTED:
        return "" if vendor.known(row.reference) and (vendor.careless or not live) else f"{name} was not rejected"
    if row.failure == Reason.CONFLICT:
        allowed = vendor.known(row.reference) and (vendor.strict or row.id in world.skipped)
        return "" if allowed else f"{name} without a reason"
    return f"{name}, yet the provider has it" if vendor.known(row.reference) else ""


def _audit_violation(rows: list[Row], tracings: list[InvoiceAuditTracing]) -> str:
    heads = {row.id: (0, "") for row in rows}
    for tracing in tracings:
        seq, previous = heads[tracing.invoice_id]
        if tracing.seq != seq + 1 or tracing.hash != chain_hash(previous, tracing.record):
            return f"the audit is broken at {tracing}"
        heads[tracing.invoice_id] = tracing.seq, tracing.hash
    cut = [row.order_id for row in rows if heads[row.id] != (row.audit_seq, row.audit_hash)]
    return f"the audit's tail was cut: {cut}" if cut else ""
