"""Writing the audit: rows of a per-invoice chain, in batches. Only under the invoices' row locks."""

import functools
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import connection

from invoices.models import Invoice, InvoiceAuditTracing
from invoices.models.audit import audited, canonical, chain


def draw_up(
    invoice: Invoice,
    *,
    pk: int,
    event: str,
    outcome: str,
    actor: str,
    reason: str,
    before: dict[str, Any],
    after: dict[str, Any],
    at: datetime,
) -> InvoiceAuditTracing:
    """The next row of an invoice's chain; moves the chain's head on the object, which the caller saves.

    The record tells every column, the id too (the caller draws it from `snowflake()`): see verify.
    """
    invoice.audit_seq += 1
    record = record_of(
        pk, invoice.pk, invoice.audit_seq, event, outcome, actor, reason, before=before, after=after, at=at
    )
    invoice.audit_hash = chain(invoice.audit_hash, record)
    return InvoiceAuditTracing(
        id=pk,
        invoice=invoice,
        seq=invoice.audit_seq,
        event_type=event,
        outcome=outcome,
        actor=actor,
        at=at,
        record=record,
        hash=invoice.audit_hash,
    )


def record_of(
    pk: int,
    invoice: int,
    seq: int,
    event: str,
    outcome: str,
    actor: str,
    reason: str,
    *,
    before: dict[str, Any],
    after: dict[str, Any],
    at: datetime,
) -> str:
    """The text that is hashed."""
    return canonical(
        {
            "id": str(pk),
            "invoice": str(invoice),
            "seq": seq,
            "eventType": event,
            "outcome": outcome,
            "actor": actor,
            "reason": reason,
            "before": {field: audited(field, value) for field, value in before.items()},
            "after": {field: audited(field, value) for field, value in after.items()},
            "at": at.isoformat(),
        }
    )


def write(tracings: Iterable[InvoiceAuditTracing]) -> None:
    InvoiceAuditTracing.objects.bulk_create(tracings)


@functools.cache  # simple-history makes a manager each time that it is asked for its model
def _history_sql() -> str:
    historical = Invoice.history.model
    own = {"history_id", "history_date", "history_change_reason", "history_type", "history_user"}
    columns = ", ".join(f'"{f.column}"' for f in historical._meta.concrete_fields if f.name not in own)
    return (
        f'INSERT INTO "{historical._meta.db_table}" ({columns}, history_date, history_type, history_change_reason) '
        f'SELECT {columns}, %s, %s, %s FROM "{Invoice._meta.db_table}" WHERE id = ANY(%s)'
    )


def write_history(ids: list[int], *, at: datetime, reason: str, kind: str = "~") -> None:
    """simple-history's rows for a batch, by one statement. `kind` is "+" for new rows."""
    with connection.cursor() as cursor:
        cursor.execute(_history_sql(), [at, kind, reason[:100], ids])
