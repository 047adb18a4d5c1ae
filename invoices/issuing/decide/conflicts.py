"""What makes a look-up result a conflict, and what a conflict does to the invoice."""

from typing import Any

from invoices.issuing.decide.steps import failure_changes
from invoices.lifecycle import Reason, State
from invoices.models import Invoice, InvoiceIssuance
from invoices.moving import Step
from invoices.providers.base import Document, Found


def mismatch(found: Found, document: Document) -> str:
    """The first field that the vendor tells and that is not ours; "" where all that it tells is ours."""
    told = {
        "symbol": (found.symbol, document.symbol),
        "issue date": (found.issued_on, document.issue_date),
        "seller tax code": (found.seller_tax_code, document.seller.tax_code),
        "buyer tax code": (found.buyer_tax_code, document.buyer.tax_code),
        "total": (found.total, document.total),
    }
    return next((name for name, (theirs, ours) in told.items() if theirs is not None and theirs != ours), "")


def fail_as_conflict(row: Invoice, why: str, told_by: InvoiceIssuance | None = None) -> Step:
    """The provider has something else than we thought. It knows the invoice then: no replay may send it again."""
    changes: dict[str, Any] = {**failure_changes(Reason.CONFLICT, "", why), "final_lookup_at": None}
    if told_by and not row.exposed:
        changes |= {"exposed_at": told_by.taken_at, "exposed_by": told_by.pk}
    return Step(State.FAILED, "conflict", "failed", why, changes)
