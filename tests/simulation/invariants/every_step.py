"""The invariants after every step. Each check returns what is wrong, or ""."""

from collections import Counter
from typing import TYPE_CHECKING

from invoices.lifecycle import OWED, Reason, State
from tests.simulation.invariants.rows import Row
from tests.simulation.world.vendor import LIMITS

if TYPE_CHECKING:
    from tests.simulation.world.world import World


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
    if len(live) > 1 and not vendor.careless:
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
