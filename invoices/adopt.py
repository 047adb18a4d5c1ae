"""Record the provider's invoice as ours, by an operator's word: for what the rules alone may not decide."""

from config import clock
from invoices.issuing.calls import overrides
from invoices.issuing.take import look_ups
from invoices.issuing.wire import wire
from invoices.lifecycle import State, WrongState
from invoices.models import Invoice, InvoiceIssuance
from invoices.moving import Step, move_one
from invoices.providers import build
from invoices.providers.base import Found
from invoices.providers.http import Http


def adopt(invoice: Invoice, *, actor: str, reason: str) -> Invoice:
    """FAILED → ISSUED with the number that the provider tells. Raises WrongState, ProviderError."""
    found = look_up(invoice)
    if found is None:
        raise WrongState(f"The provider does not know order {invoice.order_id}: there is nothing to adopt.")
    if found.rejected:
        raise WrongState(f"The tax authority refused order {invoice.order_id}: it is no legal invoice.")
    if not found.code and not found.symbol.startswith("K"):
        raise WrongState(f"Order {invoice.order_id} has no code of the tax authority yet: adopt it when it has one.")

    def decide(row: Invoice) -> Step:
        if row.state != State.FAILED:
            raise WrongState(f"Order {row.order_id} is {row.state}: only a failed invoice can be adopted.")
        now = clock.now()
        facts = {"symbol": found.symbol, "number": found.number, "code": found.code, "lookup_code": found.lookup_code}
        after = {"issued_at": now, "files_due": now, "files_tries": 0, "look_again_at": None}
        owed = {"correction_owed": True} if row.open_refund else {}
        latest = _latest(row)
        known = {} if row.exposed else {"exposed_at": latest.taken_at, "exposed_by": latest.pk}
        return Step(State.ISSUED, "adopted", reason=reason, changes=facts | after | owed | known)

    return move_one(invoice, decide, actor=actor)


def look_up(invoice: Invoice) -> Found | None:
    """What the provider knows of an invoice's latest attempt. Raises WrongState, ProviderError."""
    (call,) = look_ups([_latest(invoice).pk], clock.now())

    async def ask(http: Http) -> Found | None:
        return await build(call.provider, call.account, http, **overrides()).find(call.reference)

    return wire().run(ask)


def _latest(invoice: Invoice) -> InvoiceIssuance:
    latest = InvoiceIssuance.objects.filter(invoice=invoice).order_by("-id").first()
    if latest is None:
        raise WrongState(f"Order {invoice.order_id} was never sent: no provider can know it.")
    return latest
