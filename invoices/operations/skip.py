"""Let an account continue without an invoice that blocks it; the invoice stays FAILED for an operator."""

from invoices.audit import Event, Outcome
from invoices.lifecycle import Reason, State, WrongState
from invoices.models import Invoice
from invoices.moving import Step, move_one


def skip(invoice: Invoice, *, actor: str, reason: str, dry_run: bool = False) -> Invoice:
    """QUEUED or UNCERTAIN → FAILED(skipped). Raises WrongState."""

    def decide(row: Invoice) -> Step:
        if row.state not in (State.QUEUED, State.UNCERTAIN):
            raise WrongState(f"Order {row.order_id} is {row.state}. It does not block its account.")
        why = {"failure": Reason.SKIPPED.value, "failure_message": f"Skipped: {reason}"}
        return Step(to=State.FAILED, event=Event.SKIPPED, outcome=Outcome.SKIPPED, reason=reason, changes=why)

    return move_one(invoice, decide, actor=actor, dry_run=dry_run)
