"""Replay an invoice so that it cannot be issued twice: send it if no provider knows it, else look it up."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import transaction

from config.base import clock
from invoices.audit import Event
from invoices.issuing import documents
from invoices.lifecycle import AWAITING_LOOKUP, State, WrongState
from invoices.models import Invoice, Partition
from invoices.moving import Step, move_one
from invoices.opening.conclude import lock_order
from invoices.operations.amend import is_account_closed, prepare_resend
from invoices.queues import wake

NOT_REPLAYABLE = (State.WAITING, State.EXPIRED, State.CANCELLED)


class Plan(NamedTuple):
    acts: bool
    to: State
    why: str


@dataclass(frozen=True, slots=True)
class ReplayResult:
    acted: bool
    state: State
    why: str
    invoice: Invoice  # after the replay; with `dry_run`, as it would be


def replay(invoice: Invoice, *, actor: str, reason: str, dry_run: bool = False) -> ReplayResult:
    """Idempotent. Raises WrongState if a replay cannot help."""
    if dry_run:
        return _replay_row(invoice, actor=actor, reason=reason, dry_run=True)
    with transaction.atomic():
        lock_order(invoice.merchant.code, invoice.order_id)
        row = Invoice.objects.select_for_update(no_key=True).get(pk=invoice.pk)
        result = _replay_row(row, actor=actor, reason=reason, dry_run=False)
        if result.acted:
            transaction.on_commit(lambda: wake(row.partition))
    return result


def _replay_row(row: Invoice, *, actor: str, reason: str, dry_run: bool) -> ReplayResult:
    plan = _plan(row)
    if not plan.acts:
        return ReplayResult(*plan, row)
    changes: dict[str, Any] = {"not_before": clock.now()}
    if row.state == State.FAILED:
        changes |= {"attempts": 0} | (_prepare_lookup(row) if row.exposed else prepare_resend(row))
    step = Step(to=plan.to, event=Event.REPLAYED, reason=reason, changes=changes)
    return ReplayResult(*plan, move_one(row, lambda _: step, actor=actor, dry_run=dry_run))


def _plan(row: Invoice) -> Plan:
    """Whether a replay acts, the state after it, and the reason."""
    state = State(row.state)
    if state in NOT_REPLAYABLE:
        raise WrongState(f"Order {row.order_id} is {state}. There is nothing to replay.")
    if state == State.FAILED and row.exposed:
        return Plan(True, State.UNCERTAIN, "a provider may know it: it is looked up now")
    if state == State.FAILED:
        if row.open_refund:
            raise WrongState(f"Order {row.order_id} was partly refunded. Amend its lines first.")
        return Plan(True, State.QUEUED, "no provider knows it: it is sent again")
    if state == State.QUEUED:
        return Plan(True, state, f"it is due{_why_not_taken(row) or ': a worker is woken'}")
    if state in AWAITING_LOOKUP:
        return Plan(True, state, "it is looked up now")
    return Plan(False, state, "a worker is sending it" if state == State.SENDING else "it has its number")


def _prepare_lookup(row: Invoice) -> dict[str, Any]:
    """Render a document if there is none: the provider's invoice is compared with it."""
    return {"lookups": 0, **({} if row.document else documents.render_changes(row))}


def _why_not_taken(row: Invoice) -> str:
    """The reason why no worker takes it although it is due; "" if one will."""
    account = row.account
    if account is None or is_account_closed(account):
        return ", but its account is closed: skip it, then refresh its configuration"
    if account.paused or row.merchant.paused:
        return f", but its {'account' if account.paused else 'merchant'} is paused"
    if Partition.objects.filter(number=row.partition, paused=True).exists():
        return f", but partition {row.partition} is paused"
    if account.parked_for_login:
        return ", but its account is parked: the provider refuses the login"
    if not account.is_open():
        return f", but its account is parked until {account.parked_until and account.parked_until.isoformat()}"
    return ""
