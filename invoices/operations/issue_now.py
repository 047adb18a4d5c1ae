"""Issue before the claim window closes, to the buyer known so far, by an operator's decision."""

from django.db import transaction

from config.base import clock
from invoices.audit import Event
from invoices.lifecycle import State, WrongState
from invoices.models import Invoice
from invoices.moving import Step, move_one
from invoices.opening.conclude import lock_order


def issue_now(invoice: Invoice, *, actor: str, reason: str, dry_run: bool = False) -> Invoice:
    """WAITING → QUEUED, due at once. Raises WrongState."""

    def decide(row: Invoice) -> Step:
        if row.state != State.WAITING:
            raise WrongState(f"Order {row.order_id} is {row.state}. It is not waiting for its buyer.")
        return Step(to=State.QUEUED, event=Event.ISSUED_NOW, reason=reason, changes={"not_before": clock.now()})

    with transaction.atomic():
        lock_order(invoice.merchant.code, invoice.order_id)
        return move_one(invoice, decide, actor=actor, dry_run=dry_run)
