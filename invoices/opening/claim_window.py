"""The state of a sale after its claim window: the rule, and the task that applies it."""

from config.base import clock
from config.processes.shutdown import shutdown
from invoices.audit import Event
from invoices.lifecycle import State
from invoices.models import Invoice
from invoices.moving import Step, move
from merchants.models import Merchant

BATCH = 1000  # rows in one transaction


def state_after_window(policy: str, buyer_known: bool) -> tuple[State, str]:
    """The state after the claim window, and its reason. `policy` is a Merchant.Unclaimed."""
    if buyer_known:
        return State.QUEUED, "the window closed: issue to the requested buyer"
    if policy == Merchant.Unclaimed.LAPSE:
        return State.EXPIRED, "not claimed, and the merchant lets such sales lapse"
    return State.QUEUED, "not claimed: issue to the consumer"


def close_claim_windows(partition: int) -> int:
    """Close the ended claim windows of a partition. Returns how many. Two runs at once are safe."""
    ended = Invoice.objects.not_deleted().filter(
        partition=partition, state=State.WAITING, claim_deadline__lte=clock.now()
    )
    closed = 0
    # Every row found leaves WAITING, moved here or by the transaction that held its lock: the next query finds others.
    while not shutdown.is_set() and (
        ids := list(ended.order_by("claim_deadline").values_list("pk", flat=True)[:BATCH])
    ):
        closed += len(move(ids, _close_window, actor="beat").moved)
    return closed


def _close_window(row: Invoice) -> Step | None:
    """None if a claim or a refund came first."""
    now = clock.now()
    if row.state != State.WAITING or row.claim_deadline is None or row.claim_deadline > now:
        return None
    to, why = state_after_window(row.policy["unclaimed"], bool(row.buyer))
    changes = {"not_before": now} if to == State.QUEUED else {}
    return Step(to=to, event=Event.CLAIM_WINDOW_CLOSED, reason=why, changes=changes)
