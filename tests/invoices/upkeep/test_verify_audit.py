"""The audit, changed by a database superuser with triggers off: each change is found and named."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import DataError, IntegrityError, connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from config.base import clock
from invoices.audit import Event, chain_hash
from invoices.lifecycle import State
from invoices.models import InvoiceAuditTracing
from invoices.upkeep import verify_audit
from tests import cast
from tests.invoices.upkeep.tampering import (
    AUDIT,
    HEAD,
    HISTORY,
    INVOICE,
    OF_INVOICE,
    ROW,
    find_faults,
    rewrite,
    rolled_back,
    tamper,
    verify,
)

pytestmark = pytest.mark.django_db


def test_an_unchanged_audit_is_whole() -> None:
    for build in (cast.waiting, cast.issued, cast.failed):
        build()
    verification = verify()
    assert (verification.invoices, verification.broken, verification.first_broken) == (3, 0, [])
    assert verification.rows == InvoiceAuditTracing.objects.count() > 6


@pytest.mark.parametrize(
    ("change", "seq", "what"),
    [
        ("record = replace(record, '\"worker\"', '\"walker\"')", 2, 'its actor is "test", its record has "walker"'),
        ("record = replace(record, 'QUEUED', 'QUEUEd')", 2, "its hash does not match"),
        ("record = left(record, -1)", 2, "its record or its time cannot be parsed"),
        ("record = '[]'", 2, "its record or its time cannot be parsed"),
        ("hash = reverse(hash)", 2, "its hash does not match"),
        ("event_type = 'late'", 2, 'its event_type is "late", its record has "claim_window_closed"'),
        ("outcome = 'failed'", 2, 'its outcome is "failed", its record has "ok"'),
        ("actor = 'user:1'", 2, 'its actor is "user:1", its record has "test"'),
        ("at = at + interval '1 microsecond'", 2, "its at is"),
        ("at = 'infinity'", 2, "its record or its time cannot be parsed"),
        ("id = id + 1", 2, "its id is"),
        ("seq = 9", 2, "the row is missing: row 3 is in its place"),
        ("invoice_id = 7", 2, "the row is missing: row 3 is in its place"),
    ],
)
def test_a_changed_row_is_named(change: str, seq: int, what: str) -> None:
    invoice = cast.sending()
    cast.sending()
    if "walker" in change:
        change = change.replace('"worker"', '"test"')
    tamper(f"UPDATE {AUDIT} SET {change} {ROW}", invoice=invoice.pk)
    at_invoice = next(row for row in find_faults() if row[0] == invoice.pk)
    assert at_invoice[1] == seq and at_invoice[2].startswith(what)
    assert verify().broken == (2 if "invoice_id" in change else 1)


@pytest.mark.parametrize(
    ("sql", "seq", "what"),
    [
        (f"DELETE FROM {AUDIT} {ROW}", 2, "the row is missing: row 3 is in its place"),
        (f"DELETE FROM {AUDIT} {OF_INVOICE} AND seq = 3", 3, "the tail is missing: the invoice's head says 3"),
        (f"DELETE FROM {AUDIT} {OF_INVOICE}", 1, "every row is missing: the invoice's head says 3"),
        (f"{HEAD} audit_seq = 2 WHERE id = %(invoice)s", 3, "the invoice's head says 2"),
        (f"{HEAD} audit_seq = 4 WHERE id = %(invoice)s", 4, "the tail is missing: the invoice's head says 4"),
        (f"{HEAD} audit_hash = reverse(audit_hash) WHERE id = %(invoice)s", 3, "the hash of the invoice's head"),
        (f"{HEAD} audit_hash = '' WHERE id = %(invoice)s", 3, "the hash of the invoice's head differs"),
        (f"DELETE FROM {INVOICE} WHERE id = %(invoice)s", 1, "there is no such invoice"),
    ],
)  # fmt: skip
def test_missing_rows_and_changed_heads_are_named(sql: str, seq: int, what: str) -> None:
    cast.sending()
    invoice = cast.sending()
    tamper(sql, invoice=invoice.pk)
    ((broken, at, fault),) = find_faults()
    assert (broken, at) == (invoice.pk, seq) and fault.startswith(what)


CUT = f"""
    WITH gone AS (DELETE FROM {AUDIT} {OF_INVOICE} AND seq = 3)
    UPDATE {INVOICE} SET audit_seq = 2, audit_hash = (SELECT hash FROM {AUDIT} {ROW}) WHERE id = %(invoice)s
"""
ALL_OF_IT = f"""
    WITH rows AS (DELETE FROM {AUDIT} {OF_INVOICE}) DELETE FROM {INVOICE} WHERE id = %(invoice)s
"""
ITS_NEWEST = f"""
    UPDATE {HISTORY} SET audit_hash = reverse(audit_hash) WHERE id = %(invoice)s AND audit_seq = 3
"""


@pytest.mark.parametrize(
    ("sql", "seq", "what"),
    [
        (CUT, 3, "the tail is missing: history says 3, head says 2"),
        (ALL_OF_IT, 3, "there is no such invoice"),
        (ITS_NEWEST, 3, "the head differs from the history's newest version: one of them was changed"),
        (f"DELETE FROM {HISTORY} WHERE id = %(invoice)s", 3, "the head differs from the history's newest version"),
    ],
)
def test_a_tail_that_was_cut_with_its_head_is_found_by_the_history(sql: str, seq: int, what: str) -> None:
    cast.sending()
    invoice = cast.sending()
    tamper(sql, invoice=invoice.pk)
    ((broken, at, fault),) = find_faults()
    assert (broken, at) == (invoice.pk, seq) and fault.startswith(what)


def test_a_row_moved_to_another_invoice_is_named_at_both() -> None:
    one, other = cast.waiting(), cast.queued()
    tamper(f"UPDATE {AUDIT} SET invoice_id = %(to)s {ROW}", invoice=other.pk, to=one.pk)
    assert find_faults() == [
        (one.pk, 2, f'its invoice is "{one.pk}", its record has "{other.pk}"'),
        (other.pk, 2, "the tail is missing: the invoice's head says 2"),
    ]


def test_a_row_rewritten_with_a_matching_hash_is_found_by_the_next_row() -> None:
    invoice = cast.sending()
    rows = list(invoice.tracings.all())
    record = rows[1].record.replace("QUEUED", "FAILED")
    tamper(
        f"UPDATE {AUDIT} SET record = %(record)s, hash = %(hash)s {ROW}",
        invoice=invoice.pk, record=record, hash=chain_hash(rows[0].hash, record),
    )  # fmt: skip
    ((_, seq, what),) = find_faults()
    assert seq == 3 and "the row before it was changed" in what


def with_one_byte_changed(data: st.DataObject, value: Any, size: int) -> Any:
    raw = bytearray(value.encode() if isinstance(value, str) else value.to_bytes(size, "big", signed=True))
    at, byte = data.draw(st.integers(0, len(raw) - 1)), data.draw(st.integers(1, 255))
    assume(raw[at] != byte)
    raw[at] = byte
    if isinstance(value, int):
        return int.from_bytes(raw, "big", signed=True)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        assume(False)


def test_any_changed_byte_of_any_column_is_found() -> None:
    invoice = cast.sending(buyer=cast.COMPANY)
    cast.waiting()
    places = {
        AUDIT: {"id": 8, "invoice_id": 8, "seq": 4, "event_type": 0, "outcome": 0, "actor": 0, "at": 8, "record": 0,
                "hash": 0},
        INVOICE: {"audit_seq": 4, "audit_hash": 0},
    }  # fmt: skip
    assert set(places[AUDIT]) == {f.column for f in InvoiceAuditTracing._meta.concrete_fields}
    epoch = clock.now().replace(year=1970)

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def change(data: st.DataObject) -> None:
        table = data.draw(st.sampled_from([AUDIT, AUDIT, INVOICE]))
        column = data.draw(st.sampled_from(sorted(places[table])))
        row: Any = data.draw(st.sampled_from(list(invoice.tracings.order_by("seq")))) if table == AUDIT else invoice
        row.refresh_from_db()
        value = getattr(row, column)
        size = places[table][column]
        try:
            if column == "at":
                microseconds = with_one_byte_changed(data, (value - epoch) // timedelta(microseconds=1), size)
                value = epoch + timedelta(microseconds=microseconds)
            else:
                value = with_one_byte_changed(data, value, size)
            with rolled_back():
                tamper(f"UPDATE {table} SET {column} = %(value)s WHERE id = %(id)s", value=value, id=row.pk)
                assert verify().broken, f"{table}.{column} was changed to {value!r}"
        except (IntegrityError, DataError, OverflowError):
            assume(False)  # PostgreSQL itself refuses it

    change()
    assert verify().broken == 0


def test_slices_miss_nothing_and_need_two_queries_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_audit, "SLICE", 3)
    invoices = sorted(cast.waiting().pk for _ in range(7))
    tamper(
        f"UPDATE {AUDIT} SET invoice_id = %(to)s {OF_INVOICE}",
        invoice=invoices[0],
        to=-(2**63),
    )
    tamper(
        f"UPDATE {AUDIT} SET invoice_id = %(to)s {OF_INVOICE}",
        invoice=invoices[6],
        to=2**63 - 1,
    )
    tamper(f"DELETE FROM {AUDIT} {OF_INVOICE}", invoice=invoices[3])
    with CaptureQueriesContext(connection) as queries:
        assert {row[0] for row in find_faults()} == {-(2**63), 2**63 - 1, invoices[0], invoices[3], invoices[6]}
    assert len(queries) == 2 * 3 + 1, "two a slice, and the last verification"


def test_the_digest_of_a_moment_is_stable_while_invoices_move_and_finds_a_rewritten_audit() -> None:
    start = clock.now()
    with clock.frozen(start):
        moved, rewritten = cast.waiting(), cast.waiting()

    def digest() -> str:
        verification = verify_audit.new_verification()
        verification.until = start + timedelta(seconds=1)
        while not verification.ended_at:
            verify_audit.verify_next_slice(verification)
        assert not verification.broken
        return verification.digest

    then = digest()
    with clock.frozen(start + timedelta(seconds=2)):
        assert cast.move_to(moved, State.QUEUED, Event.CLAIM_WINDOW_CLOSED, actor="test").audit_seq == 2
        cast.waiting()
    assert digest() == then
    rewrite(rewritten)
    assert digest() != then
