"""Ask the provider now what it knows, by an operator's word. The answer counts like one that the pump asked for."""

import queue
from collections.abc import Sequence
from dataclasses import dataclass

from config import clock
from invoices.issuing.calls import Answer, Answered, Call
from invoices.issuing.record import record
from invoices.issuing.take import look_ups
from invoices.issuing.wire import wire
from invoices.lifecycle import State, WrongState
from invoices.models import Invoice, InvoiceIssuance
from invoices.moving import Step, move
from invoices.providers.base import Found, ProviderError


@dataclass(frozen=True, slots=True)
class Looked:
    """`answer` is a Found, None (it is not there) or the ProviderError of a look-up that proves nothing."""

    invoice: Invoice  # as it is afterwards
    answer: Answer
    told: str


def look_up(invoice: Invoice, *, actor: str, reason: str) -> Looked:
    """Raises WrongState where nothing was sent, or is just being sent."""
    return settle(ask([latest(invoice)]), actor=actor, reason=reason)[0]


def settle(answered: Sequence[Answered], *, actor: str, reason: str) -> list[Looked]:
    """What follows from each answer is the pump's rule; that a person asked is audited."""
    record(list(answered))
    by_invoice = {a.call.invoice_id: a.answer for a in answered}

    def tell(row: Invoice) -> Step:
        answer = by_invoice[row.pk]
        outcome = "failed" if isinstance(answer, ProviderError) else "ok"
        return Step(State(row.state), "looked_up", outcome, f"{reason} – {told(answer)}")

    moved = move(by_invoice, tell, actor=actor).moved
    return [Looked(row, by_invoice[row.pk], told(by_invoice[row.pk])) for row, _ in moved]


def ask(issuances: Sequence[InvoiceIssuance]) -> list[Answered]:
    """No transaction may be open: this is the network."""
    calls: list[Call] = look_ups([issuance.pk for issuance in issuances], clock.now())
    answers: queue.SimpleQueue[Answered] = queue.SimpleQueue()
    for call in calls:
        wire().start(call, answers)
    return [answers.get() for _ in calls]


def latest(invoice: Invoice) -> InvoiceIssuance:
    """The attempt that a look-up asks about. Raises WrongState."""
    if invoice.state == State.SENDING:
        raise WrongState(f"Order {invoice.order_id} is just being sent: its answer comes by itself.")
    issuance = InvoiceIssuance.objects.filter(invoice=invoice).order_by("-id").first()
    if issuance is None:
        raise WrongState(f"Order {invoice.order_id} was never sent: no provider can know it.")
    return issuance


def told(answer: Answer) -> str:
    """What a look-up came to, in words."""
    if isinstance(answer, Found):
        how = f"refused by the tax authority: {answer.rejected}" if answer.rejected else f"code {answer.code or 'none'}"
        return f"the provider has it as {answer.symbol} {answer.number}, {how}"
    return f"the look-up failed: {answer}" if isinstance(answer, ProviderError) else "the provider does not know it"
