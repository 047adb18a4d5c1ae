"""An operator's act on an invoice that did not come through: once more, in the one way that cannot issue twice."""

from dataclasses import dataclass
from typing import Any

from django.db import transaction

from config.base import clock
from invoices.issuing import documents
from invoices.lifecycle import ASKED, State, WrongState
from invoices.models import Invoice, Partition
from invoices.moving import Step, move_one
from invoices.opening.conclude import lock_order
from invoices.operations.amend import is_account_closed, prepare_resend
from invoices.queues import wake

NEVER_HELPED = (State.WAITING, State.EXPIRED, State.CANCELLED)


@dataclass(frozen=True, slots=True)
class ReplayResult:
    acted: bool
    state: State
    why: str
    invoice: Invoice  # as it is, or with `dry_run` as it would be


def replay(invoice: Invoice, *, actor: str, reason: str, dry_run: bool = False) -> ReplayResult:
    """Send again what no provider can know, ask about the rest. Idempotent. Raises WrongState where no replay helps."""
    plan = _plan(invoice)

    def decide(row: Invoice) -> Step | None:
        nonlocal plan
        acts, to, _ = plan = _plan(row)
        if not acts:
            return None
        changes: dict[str, Any] = {"not_before": clock.now()}
        if row.state == State.FAILED:
            changes |= {"attempts": 0} | (_asked_again(row) if row.exposed else prepare_resend(row))
        return Step(to, "replayed", reason=reason, changes=changes)

    if dry_run or not plan[0]:
        foreseen = move_one(invoice, decide, actor=actor, dry_run=True)
        return ReplayResult(*plan, foreseen)
    with transaction.atomic():
        lock_order(invoice.merchant.code, invoice.order_id)
        row = move_one(invoice, decide, actor=actor)
        transaction.on_commit(lambda: wake(row.partition))
    return ReplayResult(*plan, row)


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
        return True, state, f"it is due{_held_by(row) or ': a worker is rung'}"
    if state in ASKED:
        return True, state, "it is asked about now"
    return False, state, "a worker has it open" if state == State.SENDING else "it has its number"


def _asked_again(row: Invoice) -> dict[str, Any]:
    """What is found is compared with our document: one that was never sent from here has none yet."""
    return {"asks": 0, **({} if row.document else documents.drawn_up(row))}


def _held_by(row: Invoice) -> str:
    """Why no worker takes it although it is due, or nothing."""
    account = row.account
    if account is None or is_account_closed(account):
        return ", but its account is closed: skip it, and let it take today's configuration"
    if account.paused or row.merchant.paused:
        return f", but its {'account' if account.paused else 'merchant'} is paused"
    if Partition.objects.filter(number=row.partition, paused=True).exists():
        return f", but partition {row.partition} is paused"
    if account.parked_for_login:
        return ", but its account is parked: the provider refuses the login"
    if not account.is_open():
        return f", but its account is parked until {account.parked_until and account.parked_until.isoformat()}"
    return ""
