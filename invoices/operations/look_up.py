"""Look an invoice up at its provider now, for an operator. The result counts like the pump's look-ups."""

import queue
from collections.abc import Sequence
from dataclasses import dataclass

from config.base import clock
from invoices.audit import Event, Outcome
from invoices.issuing import wire
from invoices.issuing.calls import Answer, Call, FinishedCall, limits_of
from invoices.issuing.lookups import build_lookups
from invoices.issuing.record import record
from invoices.lifecycle import State, WrongState
from invoices.models import Invoice, InvoiceIssuance
from invoices.moving import Step, move
from invoices.providers.base import Found, ProviderError


@dataclass(frozen=True, slots=True)
class LookupResult:
    """`answer`: Found, None (the provider does not know it), or the ProviderError of a look-up that proves nothing."""

    invoice: Invoice  # its state after the look-up was recorded
    answer: Answer
    summary: str


def look_up(invoice: Invoice, *, actor: str, reason: str) -> LookupResult:
    """Raises WrongState if nothing can have been sent, or a send is in progress."""
    return record_lookups(look_up_attempts([latest_attempt(invoice)]), actor=actor, reason=reason)[0]


def record_lookups(lookups: Sequence[FinishedCall], *, actor: str, reason: str) -> list[LookupResult]:
    """Record each answer by the pump's rules, with the actor and reason of the look-up in the audit."""
    record(list(lookups))
    answers = {lookup.call.invoice_id: lookup.answer for lookup in lookups}

    def note_lookup(row: Invoice) -> Step:
        answer = answers[row.pk]
        outcome = Outcome.FAILED if isinstance(answer, ProviderError) else Outcome.OK
        why = f"{reason} – {describe_answer(answer)}"
        return Step(to=State(row.state), event=Event.LOOKED_UP, outcome=outcome, reason=why)

    moved = move(answers, note_lookup, actor=actor).moved
    return [LookupResult(row, answers[row.pk], describe_answer(answers[row.pk])) for row, _ in moved]


def look_up_attempts(attempts: Sequence[InvoiceIssuance]) -> list[FinishedCall]:
    """Look the attempts up and wait for the answers. Call it outside a transaction. Saves new attempts."""
    for attempt in attempts:
        if attempt._state.adding:
            attempt.save()
    calls: list[Call] = build_lookups([attempt.pk for attempt in attempts], clock.now())
    finished: queue.Queue[FinishedCall] = queue.Queue()
    for call in calls:
        wire.start(call, finished)
    return [finished.get() for _ in calls]


def latest_attempt(invoice: Invoice) -> InvoiceIssuance:
    """The attempt to look up: the last one, or one that a restored backup has lost. Raises WrongState."""
    if invoice.state == State.SENDING:
        raise WrongState(f"Order {invoice.order_id} is being sent. Its answer will be recorded.")
    attempt = InvoiceIssuance.objects.filter(invoice=invoice).order_by("-id").first()
    if attempt is None and invoice.state not in (State.FAILED, State.CANCELLED):
        raise WrongState(f"Order {invoice.order_id} was never sent. No provider can know it.")
    return attempt or _lost_attempt(invoice)


def _lost_attempt(invoice: Invoice) -> InvoiceIssuance:
    """A new row, not saved yet, for an attempt whose row was lost. Its reference is known because it is derived."""
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
        message="no attempt is recorded; a restored backup may have lost one",
    )


def check_reference_remembered(row: Invoice) -> None:
    """A reference may be sent only while the provider would refuse one that an attempt lost by a restore has used.

    It remembers references for `Limits.key_unique_for`: the sale, or the last proven "not found", must be
    younger. Raises WrongState.
    """
    since = clock.now() - limits_of(row.provider).key_unique_for
    if row.paid_at <= since and not row.issuances.filter(not_found_at__gt=since).exists():
        raise WrongState(
            f"The provider may have forgotten the reference of order {row.order_id} and issue it twice. "
            "Look it up first."
        )


def describe_answer(answer: Answer) -> str:
    """The result of a look-up, in words."""
    if isinstance(answer, Found):
        verdict = f"code {answer.code or 'none'}"
        if answer.rejected:
            verdict = f"rejected by the tax authority: {answer.rejected}"
        return f"the provider has it as {answer.symbol} {answer.number}, {verdict}"
    return f"the look-up failed: {answer}" if isinstance(answer, ProviderError) else "the provider does not know it"
