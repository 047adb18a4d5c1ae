"""The only writer of an invoice's state.

Set-based: a batch of any size costs four statements, so a worker's two hundred answers are recorded like one.
"""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.dispatch import Signal
from structlog.stdlib import get_logger

from config.base import clock
from config.base.ids import Snowflake
from config.base.records import update_rows
from invoices import audit, queues
from invoices.counters import count_moves
from invoices.lifecycle import NUMBERED, UNEXPOSED, State, WrongState, may
from invoices.models import Invoice, SentDocument

log = get_logger(__name__)
# Inside the transaction: `moved` is [(invoice, the state it was in)], `changed` the names of each one's new fields.
# An invoice that was just opened comes out of no state: None.
invoices_moved = Signal()

UNTOLD = frozenset(
    {"updated_at", "audit_seq", "audit_hash", "document", "claim_token", "bill"}
)  # not in the audit's diff


@dataclass(frozen=True, slots=True)
class Step:
    """What shall become of one locked row."""

    to: State
    event: str
    outcome: str = "ok"
    reason: str = ""
    changes: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Moves:
    moved: list[tuple[Invoice, State]] = field(default_factory=list)  # with the state that each came from
    refused: list[tuple[Invoice, str]] = field(default_factory=list)  # and why
    left: list[Invoice] = field(default_factory=list)  # alone, as their lock found them

    def __bool__(self) -> bool:
        return bool(self.moved)


Decide = Callable[[Invoice], Step | None]


def move(
    invoices: Iterable[int],
    to: State | Decide,
    *,
    actor: str,
    event: str = "",
    outcome: str = "ok",
    reason: str = "",
    **changes: Any,
) -> Moves:
    """Lock the rows in id order, decide each, save, audit and tell, in one transaction.

    `to` is a state, or a function of the locked row that returns its Step, None to leave it alone, or raises
    WrongState. A row that may not move is refused with the reason and never throws its neighbours away.
    """
    decide = to if callable(to) else lambda _: Step(to, event, outcome, reason, changes)
    result = Moves()
    with transaction.atomic():
        rows = Invoice.objects.filter(pk__in=set(invoices)).order_by("pk").select_for_update(no_key=True)
        rows = rows.annotate(tracing_id=Snowflake())  # of the audit row that it may get
        now, steps, tracings, changed, sent = None, [], [], [], []
        for invoice in rows:
            now = now or clock.now()  # lock, then read the clock
            source = State(invoice.state)
            try:
                step = decide(invoice)
                if step is None:
                    result.left.append(invoice)
                    continue
                _check(invoice, source, step)
            except WrongState as error:
                result.refused.append((invoice, str(error)))
                continue
            sha256, document = invoice.document_sha256, invoice.document
            before, after = _apply(invoice, step, now)
            if document and invoice.document != document:
                sent.append(SentDocument(invoice=invoice, sha256=sha256, document=document, created_at=now))
            tracings.append(
                audit.draw_up(
                    invoice, pk=invoice.tracing_id, event=step.event, outcome=step.outcome, actor=actor,
                    reason=step.reason, before=before, after=after, at=now,
                )
            )  # fmt: skip
            steps.append(step)
            changed.append(frozenset(after))
            result.moved.append((invoice, source))
        if result.moved and now:
            moved = [invoice for invoice, _ in result.moved]
            told = {name for step in steps for name in step.changes}
            update_rows(moved, {"state", "updated_at", "audit_seq", "audit_hash", *told})
            if sent:  # drawn anew: what an attempt sent is kept, once
                SentDocument.objects.bulk_create(sent, ignore_conflicts=True)
            count_moves(result.moved)
            audit.write(tracings)
            audit.write_history([invoice.pk for invoice in moved], at=now, reason=steps[0].event)
            invoices_moved.send(sender=Invoice, moved=result.moved, changed=changed)
            transaction.on_commit(lambda: _log_moves(result.moved, actor))
            queued = [invoice for invoice, source in result.moved if invoice.state == State.QUEUED != source]
            if queued:
                transaction.on_commit(lambda: wake_workers(queued))
    return result


def move_one(invoice: Invoice, to: State | Decide, *, dry_run: bool = False, **how: Any) -> Invoice:
    """Move one row, or raise WrongState; returns it as it was under the lock, moved or left alone.

    `dry_run` returns the row as it would be, and needs a function for `to`.
    """
    if dry_run and callable(to):
        return _foreseen(invoice, to)
    result = move([invoice.pk], to, **how)
    if result.refused:
        raise WrongState(result.refused[0][1])
    return next(iter([row for row, _ in result.moved] + result.left), invoice)


def _foreseen(invoice: Invoice, decide: Decide) -> Invoice:
    """A copy with the step taken, neither locked nor saved. Raises WrongState."""
    row = copy.copy(invoice)
    if step := decide(row):
        _check(row, State(row.state), step)
        _apply(row, step, clock.now())
    return row


def wake_workers(queued: list[Invoice]) -> None:
    for invoice in queued:
        log.info("[enqueueIssuance] order: %(order)s partition: %(partition)s", **invoice.about)
    for partition in {invoice.partition for invoice in queued}:
        queues.wake(partition)


def _log_moves(moved: list[tuple[Invoice, State]], actor: str) -> None:
    """A line a new state, but for those that have one of their own: [enqueueIssuance] and [providerCall]."""
    for invoice, source in moved:
        own = {State.QUEUED, State.SENDING, *(NUMBERED if actor == "worker" else ())}
        if invoice.state != source and invoice.state not in own:
            told = {"came_from": source.value, "state": invoice.state, "reason": invoice.failure, "actor": actor}
            log.info("[invoiceMoved]", **told, **invoice.about)


def _check(invoice: Invoice, source: State, step: Step) -> None:
    if not may(source, step.to):
        raise WrongState(f"Order {invoice.order_id} is {source}: it cannot become {step.to}.")
    if step.to in UNEXPOSED and step.changes.get("exposed_at", invoice.exposed_at) is not None:
        raise WrongState(f"Order {invoice.order_id} may be known to a provider; it cannot become {step.to}.")
    if step.to in NUMBERED and not step.changes.get("number", invoice.number):
        raise WrongState(f"Order {invoice.order_id} has no number; it cannot become {step.to}.")


def _apply(invoice: Invoice, step: Step, now: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write the step onto the object; returns the fields that changed, as they were and as they are."""
    if invoice.state == State.FAILED != step.to:
        for name in ("failure", "failure_code", "failure_field", "failure_message"):
            step.changes.setdefault(name, "")
    before, after = {}, {}
    for name, value in {"state": step.to.value, **step.changes}.items():
        old = getattr(invoice, name)
        if old != value:
            setattr(invoice, name, value)
            if name not in UNTOLD:
                before[name], after[name] = old, value
    invoice.updated_at = now
    return before, after
