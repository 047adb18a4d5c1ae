"""An operator's act on an invoice that did not come through: once more, in the one way that cannot issue twice."""

from dataclasses import dataclass
from typing import Any

from django.db import transaction

from config import clock
from invoices.amend import check_redrawable
from invoices.lifecycle import ASKED, Reason, State, WrongState
from invoices.models import Invoice
from invoices.models.rules import issue_limit
from invoices.moving import Step, move_one
from invoices.opening import lock_order
from invoices.partitions import ring
from merchants.models import ProviderAccount

NEVER_HELPED = (State.WAITING, State.EXPIRED, State.CANCELLED)


@dataclass(frozen=True, slots=True)
class Replayed:
    acted: bool
    state: State
    why: str


def replay(invoice: Invoice, *, actor: str, reason: str, dry_run: bool = False) -> Replayed:
    """Send again what no provider can know, ask about the rest. Idempotent. Raises WrongState where no replay helps."""
    plan = _plan(invoice)
    if dry_run or not plan.acted:
        return plan

    def decide(row: Invoice) -> Step | None:
        again = _plan(row)
        if not again.acted:
            return None
        changes: dict[str, Any] = {"not_before": clock.now()}
        if row.state == State.FAILED and not row.exposed:
            changes |= {"attempts": 0, **_dated(row)}
        elif row.state == State.FAILED:
            changes |= {"attempts": 0, "asks": 0}
        return Step(again.state, "replayed", reason=reason, changes=changes)

    with transaction.atomic():
        lock_order(invoice.merchant.code, invoice.order_id)
        row = move_one(invoice, decide, actor=actor)
        transaction.on_commit(lambda: ring(row.partition))
    return plan


def _plan(row: Invoice) -> Replayed:
    state = State(row.state)
    if state in NEVER_HELPED:
        raise WrongState(f"Order {row.order_id} is {state}: there is nothing to replay.")
    if state == State.FAILED and row.exposed:
        return Replayed(True, State.UNCERTAIN, "a provider may know it: it is asked now")
    if state == State.FAILED:
        if row.refunded_amount and row.failure == Reason.AMENDED:
            raise WrongState(f"Order {row.order_id} was partly refunded: amend its lines first.")
        return Replayed(True, State.QUEUED, "no provider knows it: it is sent again")
    if state == State.QUEUED:
        return Replayed(True, state, "it is due: a worker is rung")
    if state in ASKED:
        return Replayed(True, state, "it is asked about now")
    return Replayed(False, state, "a worker has it open" if state == State.SENDING else "it has its number")


def _dated(row: Invoice) -> dict[str, Any]:
    """After its day an invoice carries the day of its replay, under that year's symbol, in a document drawn anew."""
    now = clock.now()
    if row.issue_until > now:
        return {}
    check_redrawable(row)
    today = clock.day_vn(now)
    changes = {"issue_date": today, "issue_until": issue_limit(now), "document": "", "document_sha256": ""}
    if row.account and row.account.year != today.year:
        account = ProviderAccount.for_year(row.account.merchant, row.form, today.year)
        if account is None:
            raise WrongState(f"The merchant has no symbol of {today.year}: add its provider account first.")
        snapshot = {"id": str(account.pk), "provider": account.provider, "template": account.template}
        changes |= {
            "account": account,
            "provider": account.provider,
            "symbol": account.symbol,
            "config_snapshot": {**row.config_snapshot, "account": snapshot},
        }
    return changes
