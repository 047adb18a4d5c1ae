"""An operator's act on an invoice that did not come through: once more, in the one way that cannot issue twice."""

from dataclasses import dataclass
from typing import Any

from django.db import transaction

from config import clock
from invoices.amend import redated
from invoices.lifecycle import ASKED, State, WrongState
from invoices.models import Invoice
from invoices.moving import Step, move_one
from invoices.opening import lock_order
from invoices.partitions import ring

NEVER_HELPED = (State.WAITING, State.EXPIRED, State.CANCELLED)


@dataclass(frozen=True, slots=True)
class Replayed:
    acted: bool
    state: State
    why: str
    invoice: Invoice  # as it is, or with `dry_run` as it would be


def replay(invoice: Invoice, *, actor: str, reason: str, dry_run: bool = False) -> Replayed:
    """Send again what no provider can know, ask about the rest. Idempotent. Raises WrongState where no replay helps."""
    plan = _plan(invoice)

    def decide(row: Invoice) -> Step | None:
        nonlocal plan
        acts, to, _ = plan = _plan(row)
        if not acts:
            return None
        changes: dict[str, Any] = {"not_before": clock.now()}
        if row.state == State.FAILED and not row.exposed:
            changes |= {"attempts": 0, **redated(row)}
        elif row.state == State.FAILED:
            changes |= {"attempts": 0, "asks": 0}
        return Step(to, "replayed", reason=reason, changes=changes)

    if dry_run or not plan[0]:
        foreseen = move_one(invoice, decide, actor=actor, dry_run=True)
        return Replayed(*plan, foreseen)
    with transaction.atomic():
        lock_order(invoice.merchant.code, invoice.order_id)
        row = move_one(invoice, decide, actor=actor)
        transaction.on_commit(lambda: ring(row.partition))
    return Replayed(*plan, row)


def _plan(row: Invoice) -> tuple[bool, State, str]:
    """Whether a replay does anything, where it leads, and why."""
    state = State(row.state)
    if state in NEVER_HELPED:
        raise WrongState(f"Order {row.order_id} is {state}: there is nothing to replay.")
    if state == State.FAILED and row.exposed:
        return True, State.UNCERTAIN, "a provider may know it: it is asked now"
    if state == State.FAILED:
        if row.open_refund:
            raise WrongState(f"Order {row.order_id} was partly refunded: amend its lines first.")
        return True, State.QUEUED, "no provider knows it: it is sent again"
    if state == State.QUEUED:
        return True, state, "it is due: a worker is rung"
    if state in ASKED:
        return True, state, "it is asked about now"
    return False, state, "a worker has it open" if state == State.SENDING else "it has its number"
