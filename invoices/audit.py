"""The audit of invoices: its events, its rows and their hash chain.

Call only under the row locks of the invoices.
"""

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import connection, models

from config.base import crypto
from invoices.models import Invoice, InvoiceAuditTracing

Outcome = InvoiceAuditTracing.Outcome
PERSONAL = frozenset({"buyer", "config_snapshot"})  # fields that the audit stores as fingerprints


class Event(models.TextChoices):
    """The events of an invoice, each with the sentence that screens show."""

    OPENED = "opened", "The invoice was opened"
    BUYER_CHANGED = "buyer_changed", "The buyer's details changed"
    CLAIMED = "claimed", "The buyer claimed the invoice"
    CLAIM_WINDOW_CLOSED = "claim_window_closed", "The claim window closed"
    ISSUED_NOW = "issued_now", "Queued without waiting for the claim window"
    FACT_NOTED = "fact_noted", "A new fact about the order was noted"
    REFUND_NOTED = "refund_noted", "A refund was noted"
    CORRECTION_OWED = "correction_owed", "A correction is owed: the order was refunded after the invoice was issued"
    PAYMENT_CONFLICT = "payment_conflict", "A second payment has another amount: nothing was opened for it"
    CANCELLED = "cancelled", "Cancelled"
    TAKEN = "taken", "A worker took the invoice to send it"
    ISSUED = "issued", "Issued: the provider gave the number and the tax authority's code"
    SUBMITTED = "submitted", "Numbered by the provider; the tax authority has not answered yet"
    NOT_SENT = "not_sent", "Not sent: it was too late to start"
    RETRY_SCHEDULED = "retry_scheduled", "A retry is scheduled"
    UNCERTAIN = "uncertain", "No clear answer: the provider may have it"
    ABANDONED = "abandoned", "The worker recorded no answer in time: the provider may have it"
    LATE_RESPONSE = "late_response", "The response to an earlier attempt came late"
    LOOKED_UP = "looked_up", "Looked up at the provider"
    NOT_FOUND = "not_found", "Looked up: not found yet; it will be looked up again"
    LOOKUP_FAILED = "lookup_failed", "The look-up failed and proves nothing"
    FOUND = "found", "Found at the provider: it had been issued"
    PROVEN_ABSENT = "proven_absent", "Two look-ups did not find it at the provider: it may be sent again"
    FINAL_LOOKUP = "final_lookup", "Final look-up, a day later: the provider still does not have it"
    ACCOUNT_REFUSED = "account_refused", "The provider refused the account, not the order: the account is parked"
    REFUSED = "refused", "The provider refused the order's data"
    REJECTED = "rejected", "The tax authority rejected it"
    FAILED = "failed", "Failed"
    DEAD_LETTER = "dead_letter", "Every retry was used: a dead letter"
    LATE = "late", "Not sent before its issue limit"
    CONFLICT = "conflict", "Conflict: the provider's records contradict ours"
    REPLAYED = "replayed", "Replayed"
    AMENDED = "amended", "Amended and queued again"
    ADOPTED = "adopted", "The provider's invoice was adopted as ours"
    SKIPPED = "skipped", "Skipped: its account goes on without it"
    CONFIGURATION_REFRESHED = "configuration_refreshed", "Switched to the merchant's current configuration"
    CONSUMER_FALLBACK = "consumer_fallback", "The refused buyer was not corrected in time: issued to the consumer"


def sentence_of(event_type: str) -> str:
    """The sentence of a stored event, or its name if this release does not know the event."""
    return Event(event_type).label if event_type in Event.values else event_type.replace("_", " ").capitalize()


def build_tracing(
    invoice: Invoice,
    *,
    pk: int,
    event: Event,
    outcome: Outcome,
    actor: str,
    reason: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    at: datetime,
) -> InvoiceAuditTracing:
    """The next row of an invoice's chain, not saved. Advances the chain's head on `invoice`; the caller saves both.

    `pk` comes from `snowflake()` beforehand, because the record covers every column of the row (see verify_audit).
    """
    invoice.audit_seq += 1
    record = record_text(
        pk=pk, invoice_id=invoice.pk, seq=invoice.audit_seq, event=event, outcome=outcome, actor=actor, reason=reason,
        before=before, after=after, at=at,
    )  # fmt: skip
    invoice.audit_hash = chain_hash(invoice.audit_hash, record)
    return InvoiceAuditTracing(
        id=pk,
        invoice=invoice,
        seq=invoice.audit_seq,
        event_type=event.value,
        outcome=outcome.value,
        actor=actor,
        at=at,
        record=record,
        hash=invoice.audit_hash,
    )


def record_text(
    *,
    pk: int,
    invoice_id: int,
    seq: int,
    event: Event,
    outcome: Outcome,
    actor: str,
    reason: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    at: datetime,
) -> str:
    """The text that the hash covers."""
    return canonical_json(
        {
            "id": str(pk),
            "invoice": str(invoice_id),
            "seq": seq,
            "eventType": event.value,
            "outcome": outcome.value,
            "actor": actor,
            "reason": reason,
            "before": {field: _audit_value(field, value) for field, value in before.items()},
            "after": {field: _audit_value(field, value) for field, value in after.items()},
            "at": at.isoformat(),
        }
    )


def canonical_json(value: Any) -> str:
    """Deterministic JSON: sorted keys, no spaces, non-ASCII characters unescaped."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)


def chain_hash(previous: str, record: str) -> str:
    """The hash of a record after the row with the hash `previous`; the first row follows ""."""
    return hashlib.sha256(f"{previous}\n{record}".encode()).hexdigest()


def _audit_value(field: str, value: Any) -> Any:
    """A field's value in the audit: personal data as a keyed fingerprint, which shows only that it changed."""
    if field in PERSONAL:
        return f"•{crypto.fingerprint(canonical_json(value))}" if value else ""
    return value.isoformat() if hasattr(value, "isoformat") else value


def write_tracings(tracings: Iterable[InvoiceAuditTracing]) -> None:
    InvoiceAuditTracing.objects.bulk_create(tracings)


def write_history(ids: list[int], *, at: datetime, event: Event, kind: str = "~") -> None:
    """simple-history's rows of a batch, by one statement. `kind` is "+" for new rows."""
    with connection.cursor() as cursor:
        cursor.execute(_history_sql(), [at, kind, event.value, ids])


@functools.cache  # simple-history builds a new manager at each access to its model
def _history_sql() -> str:
    historical = Invoice.history.model
    own = {"history_id", "history_date", "history_change_reason", "history_type", "history_user"}
    columns = ", ".join(f'"{f.column}"' for f in historical._meta.concrete_fields if f.name not in own)
    return (
        f'INSERT INTO "{historical._meta.db_table}" ({columns}, history_date, history_type, history_change_reason) '
        f'SELECT {columns}, %s, %s, %s FROM "{Invoice._meta.db_table}" WHERE id = ANY(%s)'
    )
