"""Conflicts between the provider's records and ours.

Decided here: another document, a second number. Decided elsewhere: issued after we had ended it (`send`, `lookup`), the
number of another invoice of ours (`record`), an XML that does not match our document (`files`).
"""

from typing import Any

from invoices.audit import Event, Outcome
from invoices.issuing.decide.steps import failure_changes
from invoices.lifecycle import Reason, State
from invoices.models import Invoice, InvoiceIssuance
from invoices.moving import Step
from invoices.providers.base import Document, Found, Issued, Submitted


def mismatch(found: Found, document: Document) -> str:
    """The first field that the provider reports and that differs from ours; "" if none does."""
    fields = {
        "symbol": (found.symbol, document.symbol),
        "issue date": (found.issued_on, document.issue_date),
        "seller tax code": (found.seller_tax_code, document.seller.tax_code),
        "buyer tax code": (found.buyer_tax_code, document.buyer.tax_code),
        "total": (found.total, document.total),
    }
    return next((name for name, (theirs, ours) in fields.items() if theirs is not None and theirs != ours), "")


def second_number(row: Invoice, answer: Issued | Submitted | Found) -> str:
    """The conflict, if the invoice already has another number than the one reported; "" if it does not."""
    if not row.number or (row.symbol, row.number) == (answer.symbol, answer.number):
        return ""
    return f"a second number, {answer.symbol} {answer.number}, for one document"


def fail_as_conflict(row: Invoice, why: str, reported_by: InvoiceIssuance | None = None) -> Step:
    """The provider's records contradict ours, so it knows the invoice: no replay may send it again.

    `reported_by` exposes an unexposed invoice: the attempt that the contradiction came from.
    """
    changes: dict[str, Any] = {**failure_changes(Reason.CONFLICT, "", why), "final_lookup_at": None}
    if reported_by and not row.exposed:
        changes |= {"exposed_at": reported_by.taken_at, "exposed_by": reported_by.pk}
    return Step(to=State.FAILED, event=Event.CONFLICT, outcome=Outcome.FAILED, reason=why, changes=changes)
