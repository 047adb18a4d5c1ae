"""What becomes of a sale whose claim window closes without a claim: the rule, and the pump that applies it."""

from config.base import clock
from config.processes.shutdown import shutdown
from invoices.audit import Event
from invoices.lifecycle import State
from invoices.models import Invoice
from invoices.moving import Step, move
from merchants.models import Merchant

STEP = 1000  # rows in one transaction


def close_window_to(policy: str, buyer_known: bool) -> tuple[State, str]:
    """What becomes of a sale whose claim window has closed."""
    if buyer_known:
        return State.QUEUED, "the window closed: issue to the buyer that was asked for"
    if policy == Merchant.Unclaimed.LAPSE:
        return State.EXPIRED, "nobody claimed it and the merchant lets such sales lapse"
    return State.QUEUED, "nobody claimed it: issue to the consumer"


def expire_claims(partition: int) -> int:
    """Decide every sale of a partition whose claim window has closed; returns how many. Safe to run twice at once."""
    closed = Invoice.objects.not_deleted().filter(
        partition=partition, state=State.WAITING, claim_deadline__lte=clock.now()
    )
    expired = 0
    # Every row that is found leaves WAITING, by us or by whoever had it locked: the next look finds others.
    while not shutdown.is_set() and (
        ids := list(closed.order_by("claim_deadline").values_list("pk", flat=True)[:STEP])
    ):
        expired += len(move(ids, _expire, actor="beat").moved)
    return expired


def _expire(row: Invoice) -> Step | None:
    """What the merchant wants done with one locked row, unless a claim or a refund came first."""
    now = clock.now()
    if row.state != State.WAITING or row.claim_deadline is None or row.claim_deadline > now:
        return None
    to, why = close_window_to(row.policy["unclaimed"], bool(row.buyer))
    return Step(to=to, event=Event.CLAIM_EXPIRED, reason=why, changes={"not_before": now} if to == State.QUEUED else {})
