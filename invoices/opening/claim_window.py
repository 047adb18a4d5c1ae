"""What becomes of a sale whose claim window has closed: the rule, and the task that applies it."""

from config.base import clock
from config.processes.shutdown import shutdown
from invoices.audit import Event
from invoices.lifecycle import State
from invoices.models import Invoice
from invoices.moving import Step, move
from merchants.models import Merchant

BATCH = 1000  # rows in one transaction


def close_window_to(policy: str, buyer_known: bool) -> tuple[State, str]:
    """The state after the claim window, and why. `policy` is a Merchant.Unclaimed."""
    if buyer_known:
        return State.QUEUED, "the window closed: issue to the buyer that was asked for"
    if policy == Merchant.Unclaimed.LAPSE:
        return State.EXPIRED, "not claimed, and the merchant lets such sales lapse"
    return State.QUEUED, "not claimed: issue to the consumer"


def expire_claims(partition: int) -> int:
    """Close the claim windows of a partition that are over. Returns how many. Safe to run twice at once."""
    closed = Invoice.objects.not_deleted().filter(
        partition=partition, state=State.WAITING, claim_deadline__lte=clock.now()
    )
    expired = 0
    # Every row found leaves WAITING, moved by us or by whoever held its lock, so the next query finds others.
    while not shutdown.is_set() and (
        ids := list(closed.order_by("claim_deadline").values_list("pk", flat=True)[:BATCH])
    ):
        expired += len(move(ids, _close_window, actor="beat").moved)
    return expired


def _close_window(row: Invoice) -> Step | None:
    """None if a claim or a refund came first."""
    now = clock.now()
    if row.state != State.WAITING or row.claim_deadline is None or row.claim_deadline > now:
        return None
    to, why = close_window_to(row.policy["unclaimed"], bool(row.buyer))
    return Step(to=to, event=Event.CLAIM_EXPIRED, reason=why, changes={"not_before": now} if to == State.QUEUED else {})
