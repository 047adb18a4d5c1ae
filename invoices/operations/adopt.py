"""Record the provider's invoice as ours, by an operator's decision: the rules may not decide this automatically."""

import copy
from typing import Any

from config.base import clock
from invoices.audit import Event
from invoices.issuing import documents
from invoices.issuing.calls import Answer
from invoices.issuing.decide.conflicts import mismatch
from invoices.lifecycle import State, WrongState
from invoices.models import Invoice
from invoices.moving import Step, move_one
from invoices.operations.look_up import latest_attempt, look_up_attempts
from invoices.providers.base import Found, ProviderError


def adopt(invoice: Invoice, *, actor: str, reason: str, dry_run: bool = False) -> Invoice:
    """FAILED → ISSUED with the number that the provider reports. Raises WrongState, ProviderError."""
    _check_failed(invoice)
    (lookup,) = look_up_attempts([latest_attempt(invoice)])
    found = _check_adoptable(invoice, lookup.answer)

    def decide(row: Invoice) -> Step:
        _check_failed(row)
        now = clock.now()
        changes: dict[str, Any] = {
            "symbol": found.symbol, "number": found.number, "code": found.code, "lookup_code": found.lookup_code,
            "issued_at": now, "files_due": now, "files_attempts": 0, "final_lookup_at": None,
        }  # fmt: skip
        if row.open_refund:
            changes["correction_owed"] = True
        if not row.exposed:
            attempt = latest_attempt(row)
            changes |= {"exposed_at": attempt.taken_at, "exposed_by": attempt.pk}
        changes |= _match_document(row, found)
        return Step(to=State.ISSUED, event=Event.ADOPTED, reason=reason, changes=changes)

    return move_one(invoice, decide, actor=actor, dry_run=dry_run)


def _check_adoptable(invoice: Invoice, answer: Answer) -> Found:
    if isinstance(answer, ProviderError):
        raise answer
    if not isinstance(answer, Found):
        raise WrongState(f"The provider does not know order {invoice.order_id}. There is nothing to adopt.")
    if answer.rejected:
        raise WrongState(f"The tax authority rejected order {invoice.order_id}. It is not a legal invoice.")
    if not answer.code and not answer.symbol.startswith("K"):
        raise WrongState(f"Order {invoice.order_id} has no tax authority code yet. Adopt it when it has one.")
    return answer


def _match_document(row: Invoice, found: Found) -> dict[str, Any]:
    """The changes to date and document that match the provider's invoice. Raises WrongState if it is another's."""
    if found.total not in (None, row.total):
        raise WrongState(
            f"The provider has order {row.order_id} as {found.number} for {found.total} đồng, we have {row.total}. "
            "Have it cancelled there, or amend the lines."
        )
    day = found.issued_on or row.issue_date
    ours = documents.parse_document(row.document) if row.document else None
    rendered: dict[str, str] = {}
    if ours is None or (ours.symbol, ours.issue_date) != (found.symbol, day):
        issued = copy.copy(row)
        issued.symbol, issued.issue_date = found.symbol, day
        rendered = documents.render_changes(issued)
        ours = documents.parse_document(rendered["document"])
    if field := mismatch(found, ours):
        raise WrongState(f"The provider's invoice {found.number} differs from order {row.order_id}: {field}.")
    return {"issue_date": day, **rendered}


def _check_failed(row: Invoice) -> None:
    if row.state != State.FAILED:
        raise WrongState(f"Order {row.order_id} is {row.state}. Only a failed invoice can be adopted.")
