"""The only writer of an invoice's state, first states included.

Set-based: the number of statements does not depend on the number of invoices.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.dispatch import Signal
from structlog.stdlib import get_logger

from config.base import clock
from config.base.ids import Snowflake, new_ids
from config.base.records import update_rows
from invoices import audit, counters, queues
from invoices.audit import Event, Outcome
from invoices.lifecycle import NUMBERED, UNEXPOSED, State, WrongState, may
from invoices.models import Invoice, InvoiceAuditTracing, SentDocument

log = get_logger(__name__)
# Sent inside the transaction. `moved`: [(invoice, its state before)], None before the first; `changed`: [names of the
# invoice's new fields].
invoices_moved = Signal()

UNAUDITED = frozenset({"updated_at", "audit_seq", "audit_hash", "document", "claim_token", "bill"})
AUDITED_AT_OPENING = ("state", "total", "issue_date", "claim_deadline")
FAILURE = ("failure", "failure_code", "failure_field", "failure_message")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The decision about one locked row."""

    to: State
    event: Event
    outcome: Outcome = Outcome.OK
    reason: str = ""
    changes: dict[str, Any] = field(default_factory=dict)


Decide = Callable[[Invoice], Step | None]  # None leaves the row alone; raises WrongState


@dataclass(slots=True)
class Moves:
    moved: list[tuple[Invoice, State]] = field(default_factory=list)  # with the state before
    refused: list[tuple[Invoice, str]] = field(default_factory=list)  # with the reason
    unchanged: list[Invoice] = field(default_factory=list)  # as their locks found them


class _Written(NamedTuple):
    """A step that is written onto its object and not saved yet."""

    columns: set[str]
    changed: frozenset[str]  # the audited ones of these
    tracing: InvoiceAuditTracing
    replaced: SentDocument | None  # the document that the step replaces


def move(invoices: Iterable[int], decide: Decide, *, actor: str) -> Moves:
    """Lock the rows in id order, decide each, save and audit them, in one transaction.

    A row that may not move is refused, with the reason, and the others move.
    """
    result = Moves()
    with transaction.atomic():
        rows = Invoice.objects.filter(pk__in=set(invoices)).order_by("pk").select_for_update(no_key=True)
        rows = rows.annotate(tracing_id=Snowflake())  # of the audit row that it may get
        now, written = None, []
        for invoice in rows:
            now = now or clock.now()  # lock, then read the clock
            source = State(invoice.state)
            try:
                step = decide(invoice)
                if step is None:
                    result.unchanged.append(invoice)
                    continue
                _check(invoice, source, step)
            except WrongState as error:
                result.refused.append((invoice, str(error)))
                continue
            written.append(_write(invoice, step, invoice.tracing_id, actor=actor, at=now))
            result.moved.append((invoice, source))
        if now and written:
            _save(result.moved, written, actor=actor, at=now)
    return result


def move_one(invoice: Invoice, decide: Decide, *, actor: str, dry_run: bool = False) -> Invoice:
    """Move one row; returns it as its lock found it or as it was moved. Raises WrongState.

    `dry_run` returns the row as it would be, neither locked nor saved.
    """
    if dry_run:
        return _preview(invoice, decide)
    result = move([invoice.pk], decide, actor=actor)
    if result.refused:
        raise WrongState(result.refused[0][1])
    return next(iter([row for row, _ in result.moved] + result.unchanged), invoice)


def open_invoices(openings: Sequence[tuple[Invoice, str]], *, actor: str, at: datetime) -> None:
    """Insert new invoices, each with the reason for its first state. Gives them their ids.

    Call under the locks of their orders, which were held when the clock was read for `at`.
    """
    ids = new_ids(2 * len(openings))
    tracings = []
    for (invoice, reason), pk, tracing_id in zip(openings, ids[::2], ids[1::2], strict=True):
        invoice.pk = pk
        tracings.append(
            audit.build_tracing(
                invoice, pk=tracing_id, event=Event.OPENED, outcome=Outcome.OK, actor=actor, reason=reason,
                before={}, after={name: getattr(invoice, name) for name in AUDITED_AT_OPENING}, at=at,
            )
        )  # fmt: skip
    invoices = [invoice for invoice, _ in openings]
    Invoice.objects.bulk_create(invoices)  # sends no signal: simple-history would copy row by row
    counters.count_openings(actor, len(invoices))
    moved = [(invoice, None) for invoice in invoices]
    _publish(moved, tracings, [frozenset({"state"})] * len(moved), at=at, kind="+")


def _check(invoice: Invoice, source: State, step: Step) -> None:
    if not may(source, step.to):
        raise WrongState(f"Order {invoice.order_id} is {source}: it cannot become {step.to}.")
    if step.to in UNEXPOSED and step.changes.get("exposed_at", invoice.exposed_at) is not None:
        raise WrongState(f"Order {invoice.order_id} may be known to a provider; it cannot become {step.to}.")
    if step.to in NUMBERED and not step.changes.get("number", invoice.number):
        raise WrongState(f"Order {invoice.order_id} has no number; it cannot become {step.to}.")


def _write(invoice: Invoice, step: Step, tracing_id: int, *, actor: str, at: datetime) -> _Written:
    """Write the step onto the object, and build its audit row."""
    sha256, document = invoice.document_sha256, invoice.document
    columns, before, after = _apply(invoice, step, at)
    tracing = audit.build_tracing(
        invoice, pk=tracing_id, event=step.event, outcome=step.outcome, actor=actor, reason=step.reason,
        before=before, after=after, at=at,
    )  # fmt: skip
    replaced = None
    if document and invoice.document != document:
        replaced = SentDocument(invoice=invoice, sha256=sha256, document=document, created_at=at)
    return _Written(columns, frozenset(after), tracing, replaced)


def _apply(invoice: Invoice, step: Step, at: datetime) -> tuple[set[str], dict[str, Any], dict[str, Any]]:
    """Returns the columns to save, and the audited fields that changed, as they were and as they are."""
    values = {"state": step.to.value, **step.changes}
    if invoice.state == State.FAILED != step.to:
        values = dict.fromkeys(FAILURE, "") | values
    before, after = {}, {}
    for name, value in values.items():
        old = getattr(invoice, name)
        if old != value:
            setattr(invoice, name, value)
            if name not in UNAUDITED:
                before[name], after[name] = old, value
    invoice.updated_at = at
    return set(values), before, after


def _save(moved: list[tuple[Invoice, State]], written: list[_Written], *, actor: str, at: datetime) -> None:
    columns = {"updated_at", "audit_seq", "audit_hash"}.union(*(one.columns for one in written))
    update_rows([invoice for invoice, _ in moved], columns)
    if replaced := [one.replaced for one in written if one.replaced]:  # a document that an attempt sent is kept, once
        SentDocument.objects.bulk_create(replaced, ignore_conflicts=True)
    counters.count_moves(moved)
    transaction.on_commit(lambda: _log_moves(moved, actor))
    _publish(moved, [one.tracing for one in written], [one.changed for one in written], at=at)


def _publish(
    moved: Sequence[tuple[Invoice, State | None]],
    tracings: list[InvoiceAuditTracing],
    changed: list[frozenset[str]],
    *,
    at: datetime,
    kind: str = "~",
) -> None:
    """Write the audit, history and outbound webhooks of saved rows, and wake their workers."""
    audit.write_tracings(tracings)
    event = Event(tracings[0].event_type)
    audit.write_history([invoice.pk for invoice, _ in moved], at=at, event=event, kind=kind)
    invoices_moved.send(sender=Invoice, moved=moved, changed=changed)
    queued = [invoice for invoice, source in moved if invoice.state == State.QUEUED != source]
    if queued:
        transaction.on_commit(lambda: _wake_workers(queued))


def _preview(invoice: Invoice, decide: Decide) -> Invoice:
    row = copy.copy(invoice)
    if step := decide(row):
        _check(row, State(row.state), step)
        _apply(row, step, clock.now())
    return row


def _wake_workers(queued: list[Invoice]) -> None:
    for invoice in queued:
        log.info("[enqueueIssuance] order: %(order)s partition: %(partition)s", **invoice.about)
    for partition in {invoice.partition for invoice in queued}:
        queues.wake(partition)


def _log_moves(moved: list[tuple[Invoice, State]], actor: str) -> None:
    """One line per new state, except those that have a line of their own: [enqueueIssuance] and [providerCall]."""
    logged_elsewhere = {State.QUEUED, State.SENDING, *(NUMBERED if actor == "worker" else ())}
    for invoice, source in moved:
        if invoice.state != source and invoice.state not in logged_elsewhere:
            facts = {"came_from": source.value, "state": invoice.state, "reason": invoice.failure, "actor": actor}
            log.info("[invoiceMoved]", **facts, **invoice.about)
