"""Verify that the audit is unchanged since it was written.

Checked are: each row's hash, position and columns; the chain's head in the invoice and in its newest version in the
history; and the digest of the last verification. Invoices are read in slices, each by one statement, so head
and rows of an invoice are of the same moment, and no long snapshot blocks vacuum.
"""

import hashlib
import json
import time
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import NamedTuple

from django.conf import settings
from django.db import connection
from structlog.stdlib import get_logger

from config.base import clock
from config.processes.shutdown import shutdown
from invoices.audit import chain_hash
from invoices.models import AuditVerification

log = get_logger(__name__)
SLICE = 1_000  # invoices; their rows are sorted in memory
MAX_NAMED = 100  # broken invoices that a verification lists; it counts all
SETTLE = timedelta(hours=1)  # rows older than this are committed
NEVER = datetime.max.replace(tzinfo=UTC)
LOWEST, HIGHEST = -(2**63), 2**63 - 1  # of all ids: also finds rows that were moved to an invoice that does not exist

LAST_OF_SLICE = """
SELECT max(id), count(*)
FROM (SELECT id FROM invoices_invoice WHERE id >= %(first)s ORDER BY id LIMIT %(limit)s) slice
"""
ROWS = """
SELECT coalesce(i.id, a.invoice_id, h.id), i.audit_seq, i.audit_hash, coalesce(h.audit_seq, 0), h.audit_hash,
       a.id, a.seq, a.event_type, a.outcome, a.actor, a.at::text, a.record, a.hash
FROM (SELECT id, audit_seq, audit_hash FROM invoices_invoice WHERE id BETWEEN %(first)s AND %(last)s) i
FULL JOIN (SELECT * FROM invoices_invoiceaudittracing WHERE invoice_id BETWEEN %(first)s AND %(last)s) a
    ON a.invoice_id = i.id
FULL JOIN (
    SELECT DISTINCT ON (id) id, audit_seq, audit_hash FROM invoices_historicalinvoice
    WHERE id BETWEEN %(first)s AND %(last)s ORDER BY id, audit_seq DESC, history_id DESC) h
    ON h.id = coalesce(i.id, a.invoice_id)
ORDER BY 1, a.seq
"""


class Row(NamedTuple):
    invoice: int
    head_seq: int | None  # None: there is no such invoice
    head_hash: str
    history_seq: int  # 0: the history has no version of it
    history_hash: str
    pk: int | None  # None: the invoice has no audit row
    seq: int
    event_type: str
    outcome: str
    actor: str
    at: str
    record: str
    hash: str


class Broken(NamedTuple):
    """The first fault of an invoice's chain."""

    invoice: int
    seq: int
    what: str


DIFFERS = Broken(
    0, 0, "the digest differs from the one of the last verification: an invoice was removed with all its rows, or a "
    "chain was rewritten",
)  # fmt: skip


def new_verification() -> AuditVerification:
    """A new one, not saved yet."""
    now = clock.now()
    return AuditVerification(started_at=now, until=now - SETTLE)


def verify_next_slice(verification: AuditVerification) -> None:
    """Verify the next slice of invoices; after the last one the verification has ended."""
    first = LOWEST if verification.position is None else verification.position + 1
    with connection.cursor() as cursor:
        cursor.execute(LAST_OF_SLICE, {"first": first, "limit": SLICE})
        last, count = cursor.fetchone()
    verify_range(verification, first, last if count == SLICE else HIGHEST)
    if verification.position == HIGHEST:
        verification.ended_at = clock.now()
        if verification.previous and verification.repeated_digest != verification.previous.digest:
            verification.broken += 1
            verification.first_broken.append(DIFFERS._asdict())  # named also beyond MAX_NAMED


def verify_range(verification: AuditVerification, first: int, last: int) -> None:
    """Verify the invoices with ids from `first` to `last`."""
    with connection.cursor() as cursor:
        cursor.execute(ROWS, {"first": first, "last": last})
        fetched = cursor.fetchall()
    for _, group in groupby(map(Row._make, fetched), key=lambda row: row.invoice):
        rows = list(group)
        verification.invoices += 1
        verification.rows += sum(row.pk is not None for row in rows)
        if broken := first_broken(rows):
            verification.broken += 1
            if len(verification.first_broken) < MAX_NAMED:
                verification.first_broken.append(broken._asdict())
        verification.digest = _extend_digest(verification.digest, rows, verification.until)
        if previous := verification.previous:
            verification.repeated_digest = _extend_digest(verification.repeated_digest, rows, previous.until)
    verification.position = last


def first_broken(rows: list[Row]) -> Broken | None:
    """The first fault in one invoice's rows, which are sorted by seq; None: the chain is whole."""
    head, previous = rows[0], ""
    if head.head_seq is None:
        return Broken(head.invoice, head.seq or head.history_seq, "there is no such invoice")
    if head.pk is None:
        return Broken(head.invoice, 1, f"every row is missing: the invoice's head says {head.head_seq}")
    for seq, row in enumerate(rows, start=1):
        if row.seq != seq:
            return Broken(row.invoice, seq, f"the row is missing: row {row.seq} is in its place")
        if what := _check_row(row, previous):
            return Broken(row.invoice, seq, what)
        previous = row.hash
    last = rows[-1].seq
    if head.head_seq > last:
        return Broken(head.invoice, last + 1, f"the tail is missing: the invoice's head says {head.head_seq}")
    if head.head_seq < last:
        what = f"the invoice's head says {head.head_seq}: the head was changed, or the row was added"
        return Broken(head.invoice, last, what)
    if head.head_hash != previous:
        return Broken(head.invoice, last, "the hash of the invoice's head differs from its last row's")
    if head.history_seq > last:
        return Broken(head.invoice, last + 1, f"the tail is missing: history says {head.history_seq}, head says {last}")
    if (head.history_seq, head.history_hash) != (last, previous):
        return Broken(head.invoice, last, "the head differs from the history's newest version: one of them was changed")
    return None


COLUMNS = ("invoice", "id", "seq", "event_type", "outcome", "actor", "at")


def _check_row(row: Row, previous: str) -> str:
    """The fault of a row that follows the hash `previous`, or ""."""
    columns = (str(row.invoice), str(row.pk), row.seq, row.event_type, row.outcome, row.actor)
    try:
        record = json.loads(row.record)
        recorded = tuple(record[name] for name in ("invoice", "id", "seq", "eventType", "outcome", "actor"))
        at, recorded_at = datetime.fromisoformat(row.at), datetime.fromisoformat(record["at"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return "its record or its time cannot be parsed"
    if columns != recorded or at != recorded_at:
        for name, column, value in zip(COLUMNS, (*columns, at), (*recorded, recorded_at), strict=True):
            if column != value:
                return f'its {name} is "{str(column)[:60]}", its record has "{str(value)[:60]}"'
    if row.hash != chain_hash(previous, row.record):
        return "its hash does not match: the record, the hash or the row before it was changed"
    return ""


def _extend_digest(before: str, rows: list[Row], until: datetime) -> str:
    """The digest extended by the invoice's head as of `until`, whether its chain is whole or not."""
    for row in reversed(rows):
        if row.pk is not None and _parse_time(row.at) < until:
            return hashlib.sha256(f"{before}\n{row.invoice} {row.seq} {row.hash}".encode()).hexdigest()
    return before


def _parse_time(text: str) -> datetime:
    """The time, or NEVER if it cannot be parsed."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return NEVER


def verify_nightly() -> None:
    """Verify for AUDIT_BITE seconds; run each minute of the night. The next night continues an unfinished round."""
    latest = AuditVerification.objects.order_by("-started_at").first()
    if latest and latest.ended_at and clock.day_vn(latest.started_at) == clock.today_vn():
        return
    verification = latest if latest and not latest.ended_at else new_verification()
    if verification._state.adding:
        verification.save()
    until = time.monotonic() + settings.AUDIT_BITE
    while not verification.ended_at:
        named, position = len(verification.first_broken), verification.position
        verify_next_slice(verification)
        if not _save_slice(verification, position):
            return  # another worker continues from here
        for broken in verification.first_broken[named:]:
            log.error("[auditBroken]", invoice=broken["invoice"], seq=broken["seq"], why=broken["what"])
        if not verification.ended_at and (time.monotonic() > until or shutdown.is_set()):
            return
    log.info(
        "[auditVerified]", until=verification.until.isoformat(), invoices=verification.invoices,
        rows=verification.rows, broken=verification.broken, digest=verification.digest,
    )  # fmt: skip


def _save_slice(verification: AuditVerification, position: int | None) -> bool:
    """Save the result of a slice. False if another worker has saved it."""
    names = ("ended_at", "digest", "repeated_digest", "position", "invoices", "rows", "broken", "first_broken")
    mine = AuditVerification.objects.filter(pk=verification.pk, position=position)
    return bool(mine.update(**{name: getattr(verification, name) for name in names}))
