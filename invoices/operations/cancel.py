"""Cancel an invoice that no provider can know, by an operator's decision that the order needs none."""

from django.db import transaction

from invoices.audit import Event
from invoices.lifecycle import State, WrongState
from invoices.models import Invoice
from invoices.moving import Step, move_one
from invoices.opening.conclude import lock_order
from invoices.operations.amend import check_document_may_change

BEFORE_ISSUE = (State.WAITING, State.QUEUED, State.FAILED)


def cancel(invoice: Invoice, *, actor: str, reason: str, dry_run: bool = False) -> Invoice:
    """WAITING, QUEUED, FAILED → CANCELLED, for good. Raises WrongState, with the time when it may be allowed."""

    def decide(row: Invoice) -> Step:
        if row.state not in BEFORE_ISSUE:
            raise WrongState(f"Order {row.order_id} is {row.state}. It cannot be cancelled any more.")
        check_document_may_change(row)
        return Step(to=State.CANCELLED, event=Event.CANCELLED, reason=reason)

    with transaction.atomic():
        lock_order(invoice.merchant.code, invoice.order_id)
        return move_one(invoice, decide, actor=actor, dry_run=dry_run)
