"""Ask the provider now what it knows, by an operator's word. The answer counts like one that the pump asked for."""

import queue
from collections.abc import Sequence
from dataclasses import dataclass

from config.base import clock
from invoices.issuing import wire
from invoices.issuing.calls import Answer, Answered, Call, limits_of
from invoices.issuing.lookups import look_ups
from invoices.issuing.record import record
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
    """Raises WrongState where nothing can have been sent, or something is just being sent."""
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
    """No transaction may be open: this is the network. What is asked about is a row before that."""
    for issuance in issuances:
        if issuance._state.adding:
            issuance.save()
    calls: list[Call] = look_ups([issuance.pk for issuance in issuances], clock.now())
    answers: queue.Queue[Answered] = queue.Queue()
    for call in calls:
        wire.start(call, answers)
    return [answers.get() for _ in calls]


def latest(invoice: Invoice) -> InvoiceIssuance:
    """The attempt that a look-up asks about: the last, or one that a restored backup has lost. Raises WrongState."""
    if invoice.state == State.SENDING:
        raise WrongState(f"Order {invoice.order_id} is just being sent: its answer comes by itself.")
    issuance = InvoiceIssuance.objects.filter(invoice=invoice).order_by("-id").first()
    if issuance is None and invoice.state not in (State.FAILED, State.CANCELLED):
        raise WrongState(f"Order {invoice.order_id} was never sent: no provider can know it.")
    return issuance or _lost(invoice)


def _lost(invoice: Invoice) -> InvoiceIssuance:
    """An attempt that we know nothing of, not saved yet. The reference is derived: it was the same in any life."""
    return InvoiceIssuance(
        invoice=invoice,
        account=invoice.account,
        attempt=0,
        provider=invoice.provider,
        tax_code=invoice.seller_tax_code,
        reference=invoice.reference,
        taken_at=invoice.paid_at,
        last_byte_by=invoice.paid_at,
        outcome=InvoiceIssuance.Outcome.ABANDONED,
        message="no attempt is known here; a restored backup may have lost one",
    )


def check_remembered(row: Invoice) -> None:
    """May its key be sent again? Only while the provider would refuse it if it had issued it in a life that we lost.

    It keeps keys for days: the sale, or the last proof that it knew nothing of it, must be younger. Raises WrongState.
    """
    since = clock.now() - limits_of(row.provider).key_unique_for
    if row.paid_at <= since and not row.issuances.filter(not_found_at__gt=since).exists():
        raise WrongState(
            f"Order {row.order_id} is older than its provider's memory: look it up first, lest it be issued twice."
        )


def told(answer: Answer) -> str:
    """What a look-up came to, in words."""
    if isinstance(answer, Found):
        how = f"refused by the tax authority: {answer.rejected}" if answer.rejected else f"code {answer.code or 'none'}"
        return f"the provider has it as {answer.symbol} {answer.number}, {how}"
    return f"the look-up failed: {answer}" if isinstance(answer, ProviderError) else "the provider does not know it"
