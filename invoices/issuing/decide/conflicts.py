"""When a look-up's result is a conflict, and what a conflict does to the invoice."""

from typing import Any

from invoices.audit import Event, Outcome
from invoices.issuing.decide.steps import failure_changes
from invoices.lifecycle import Reason, State
from invoices.models import Invoice, InvoiceIssuance
from invoices.moving import Step
from invoices.providers.base import Document, Found


def mismatch(found: Found, document: Document) -> str:
    """The first field that the provider reports and that differs from ours; "" where none does."""
    fields = {
        "symbol": (found.symbol, document.symbol),
        "issue date": (found.issued_on, document.issue_date),
        "seller tax code": (found.seller_tax_code, document.seller.tax_code),
        "buyer tax code": (found.buyer_tax_code, document.buyer.tax_code),
        "total": (found.total, document.total),
    }
    return next((name for name, (theirs, ours) in fields.items() if theirs is not None and theirs != ours), "")


def fail_as_conflict(row: Invoice, why: str, reported_by: InvoiceIssuance | None = None) -> Step:
    """The provider's records contradict ours, so it knows the invoice: no replay may send it again.

    `reported_by` exposes an unexposed invoice: the attempt that the contradiction came from.
    """
    changes: dict[str, Any] = {**failure_changes(Reason.CONFLICT, "", why), "final_lookup_at": None}
    if reported_by and not row.exposed:
        changes |= {"exposed_at": reported_by.taken_at, "exposed_by": reported_by.pk}
    return Step(to=State.FAILED, event=Event.CONFLICT, outcome=Outcome.FAILED, reason=why, changes=changes)
