"""Whether the audit is as it was written: each row's hash, place and columns, the head that the invoice holds and that
its newest version in the history holds, and the digest that the round before found.

Invoices are read in slices, each by one statement: head and rows of an invoice are then of one moment while invoices
move, and no snapshot is held that would keep vacuum from its work.
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
from invoices.models import AuditVerification, Invoice, InvoiceAuditTracing
from invoices.audit import chain_hash

log = get_logger(__name__)
SLICE = 1_000  # invoices; their rows are sorted in memory
NAMED = 100  # broken invoices that a verification names; it counts them all
SETTLED = timedelta(hours=1)  # what was written before then is committed
NEVER = datetime.max.replace(tzinfo=UTC)
LOWEST, HIGHEST = -(2**63), 2**63 - 1  # rows that were moved to no invoice are found too

_LAST = f"""
    SELECT max(id), count(*)
    FROM (SELECT id FROM "{Invoice._meta.db_table}" WHERE id >= %s ORDER BY id LIMIT %s) slice
"""
_ROWS = f"""
    SELECT coalesce(i.id, a.invoice_id, h.id), i.audit_seq, i.audit_hash, coalesce(h.audit_seq, 0), h.audit_hash,
           a.id, a.seq, a.event_type, a.outcome, a.actor, a.at::text, a.record, a.hash
    FROM (SELECT id, audit_seq, audit_hash FROM "{Invoice._meta.db_table}" WHERE id BETWEEN %s AND %s) i
    FULL JOIN (SELECT * FROM "{InvoiceAuditTracing._meta.db_table}" WHERE invoice_id BETWEEN %s AND %s) a
        ON a.invoice_id = i.id
    FULL JOIN (
        SELECT DISTINCT ON (id) id, audit_seq, audit_hash FROM "{Invoice.history.model._meta.db_table}"
        WHERE id BETWEEN %s AND %s ORDER BY id, audit_seq DESC, history_id DESC) h
        ON h.id = coalesce(i.id, a.invoice_id)
    ORDER BY 1, a.seq
"""


class Row(NamedTuple):
    invoice: int
    head_seq: int | None  # None: there is no such invoice
    head_hash: str
    history_seq: int  # 0: no version of it is in the history
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
    """The first thing wrong with an invoice's chain, and at which seq."""

    invoice: int
    seq: int
    what: str


DIFFERS = Broken(
    0, 0, "the digest of what the round before verified is another now: an invoice was removed with all that told of "
    "it, or a chain was written anew",
)  # fmt: skip


def new_verification() -> AuditVerification:
    now = clock.now()
    return AuditVerification(started_at=now, until=now - SETTLED)


def verify_next_slice(verification: AuditVerification) -> None:
    """Verify the next slice of invoices; after the last one the verification has ended."""
    first = LOWEST if verification.position is None else verification.position + 1
    with connection.cursor() as cursor:
        cursor.execute(_LAST, [first, SLICE])
        last, count = cursor.fetchone()
    verify_range(verification, first, last if count == SLICE else HIGHEST)
    if verification.position == HIGHEST:
        verification.ended_at = clock.now()
        if verification.before and verification.again != verification.before.digest:
            verification.broken += 1
            verification.first_broken.append(DIFFERS._asdict())  # however many are named already


def verify_range(verification: AuditVerification, first: int, last: int) -> None:
    """Verify the invoices whose ids lie between, both included."""
    with connection.cursor() as cursor:
        cursor.execute(_ROWS, [first, last] * 3)
        found = cursor.fetchall()
    for _, group in groupby(map(Row._make, found), key=lambda row: row.invoice):
        rows = list(group)
        verification.invoices += 1
        verification.rows += sum(row.pk is not None for row in rows)
        if broken := first_broken(rows):
            verification.broken += 1
            if len(verification.first_broken) < NAMED:
                verification.first_broken.append(broken._asdict())
        verification.digest = _digest(verification.digest, rows, verification.until)
        if verification.before:
            verification.again = _digest(verification.again, rows, verification.before.until)
    verification.position = last


def first_broken(rows: list[Row]) -> Broken | None:
    """What is wrong with one invoice's rows, in the order of their seq."""
    head, previous = rows[0], ""
    if head.head_seq is None:
        return Broken(head.invoice, head.seq or head.history_seq, "there is no such invoice")
    if head.pk is None:
        return Broken(head.invoice, 1, f"every row is missing: the invoice's head says {head.head_seq}")
    for seq, row in enumerate(rows, start=1):
        if row.seq != seq:
            return Broken(row.invoice, seq, f"the row is missing: {row.seq} stands in its place")
        if what := _wrong(row, previous):
            return Broken(row.invoice, seq, what)
        previous = row.hash
    last = rows[-1].seq
    if head.head_seq > last:
        return Broken(head.invoice, last + 1, f"the tail is missing: the invoice's head says {head.head_seq}")
    if head.head_seq < last:
        return Broken(head.invoice, last, f"the invoice's head says {head.head_seq}: it was changed, or the row added")
    if head.head_hash != previous:
        return Broken(head.invoice, last, "the invoice's head has another hash than its last row")
    if head.history_seq > last:
        return Broken(head.invoice, last + 1, f"the tail is missing: history says {head.history_seq}, head says {last}")
    if (head.history_seq, head.history_hash) != (last, previous):
        return Broken(head.invoice, last, "the newest version in the history has another head: one of them was changed")
    return None


COLUMNS = ("invoice", "id", "seq", "event_type", "outcome", "actor", "at")


def _wrong(row: Row, previous: str) -> str:
    """What is wrong with a row that follows the hash `previous`; empty: nothing."""
    here = (str(row.invoice), str(row.pk), row.seq, row.event_type, row.outcome, row.actor)
    try:
        told = json.loads(row.record)
        said = (told["invoice"], told["id"], told["seq"], told["eventType"], told["outcome"], told["actor"])
        at, said_at = datetime.fromisoformat(row.at), datetime.fromisoformat(told["at"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return "its record or its time cannot be read"
    if here != said or at != said_at:
        for name, column, word in zip(COLUMNS, (*here, at), (*said, said_at), strict=True):
            if column != word:
                return f'its {name} is "{str(column)[:60]}", its record says "{str(word)[:60]}"'
    if row.hash != chain_hash(previous, row.record):
        return "its hash does not fit: the record, the hash or the row before it was changed"
    return ""


def _digest(before: str, rows: list[Row], until: datetime) -> str:
    """Moves on by the invoice's head as it was at `until`, be the chain whole or not."""
    for row in reversed(rows):
        if row.pk is not None and _instant(row.at) < until:
            return hashlib.sha256(f"{before}\n{row.invoice} {row.seq} {row.hash}".encode()).hexdigest()
    return before


def _instant(text: str) -> datetime:
    """What cannot be read counts as never."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return NEVER


def verify_nightly() -> None:
    """One bite of the night's round. Where an audit outgrows a night, the next night goes on with it."""
    latest = AuditVerification.objects.order_by("-started_at").first()
    if latest and latest.ended_at and clock.day_vn(latest.started_at) == clock.today_vn():
        return
    verification = latest if latest and not latest.ended_at else new_verification()
    if verification._state.adding:
        verification.save()
    enough = time.monotonic() + settings.AUDIT_BITE
    while not verification.ended_at:
        known, position = len(verification.first_broken), verification.position
        verify_next_slice(verification)
        if not _keep(verification, position):
            return  # another worker went on from here: the round is theirs
        for broken in verification.first_broken[known:]:
            log.error("[auditBroken]", **broken)
        if not verification.ended_at and (time.monotonic() > enough or shutdown.is_set()):
            return
    log.info(
        "[auditVerified]", until=verification.until.isoformat(), invoices=verification.invoices,
        rows=verification.rows, broken=verification.broken, digest=verification.digest,
    )  # fmt: skip


def _keep(verification: AuditVerification, position: int | None) -> bool:
    """Save a slice, unless somebody else has saved it."""
    names = ("ended_at", "digest", "again", "position", "invoices", "rows", "broken", "first_broken")
    mine = AuditVerification.objects.filter(pk=verification.pk, position=position)
    return bool(mine.update(**{name: getattr(verification, name) for name in names}))
