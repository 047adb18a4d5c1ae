"""Record the provider's invoice as ours, by an operator's word: for what the rules alone may not decide."""

from config import clock
from invoices.issuing.calls import Answer
from invoices.lifecycle import State, WrongState
from invoices.look_up import ask, latest
from invoices.models import Invoice
from invoices.moving import Step, move_one
from invoices.providers.base import Found, ProviderError


def adopt(invoice: Invoice, *, actor: str, reason: str, dry_run: bool = False) -> Invoice:
    """FAILED → ISSUED with the number that the provider tells. Raises WrongState, ProviderError."""
    _check_failed(invoice)
    (answered,) = ask([latest(invoice)])
    found = _adoptable(invoice, answered.answer)

    def decide(row: Invoice) -> Step:
        _check_failed(row)
        now = clock.now()
        facts = {"symbol": found.symbol, "number": found.number, "code": found.code, "lookup_code": found.lookup_code}
        after = {"issued_at": now, "files_due": now, "files_tries": 0, "look_again_at": None}
        owed = {"correction_owed": True} if row.open_refund else {}
        attempt = latest(row)
        known = {} if row.exposed else {"exposed_at": attempt.taken_at, "exposed_by": attempt.pk}
        return Step(State.ISSUED, "adopted", reason=reason, changes=facts | after | owed | known)

    return move_one(invoice, decide, actor=actor, dry_run=dry_run)


def _adoptable(invoice: Invoice, answer: Answer) -> Found:
    if isinstance(answer, ProviderError):
        raise answer
    if not isinstance(answer, Found):
        raise WrongState(f"The provider does not know order {invoice.order_id}: there is nothing to adopt.")
    if answer.rejected:
        raise WrongState(f"The tax authority refused order {invoice.order_id}: it is no legal invoice.")
    if not answer.code and not answer.symbol.startswith("K"):
        raise WrongState(f"Order {invoice.order_id} has no code of the tax authority yet: adopt it when it has one.")
    return answer


def _check_failed(row: Invoice) -> None:
    if row.state != State.FAILED:
        raise WrongState(f"Order {row.order_id} is {row.state}: only a failed invoice can be adopted.")
