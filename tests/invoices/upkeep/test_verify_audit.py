"""The audit, changed by a database superuser with triggers off: each change is found and named."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DataError, IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from config.base import clock
from invoices import metrics
from invoices.audit import Event, chain_hash
from invoices.lifecycle import State
from invoices.models import AuditVerification, Invoice, InvoiceAuditTracing
from invoices.moving import move
from invoices.upkeep import verify_audit
from tests import cast

pytestmark = pytest.mark.django_db
AUDIT, INVOICE = InvoiceAuditTracing._meta.db_table, Invoice._meta.db_table
HISTORY = Invoice.history.model._meta.db_table
OF_IT = "WHERE invoice_id = %(invoice)s"
ROW = f"{OF_IT} AND seq = 2"
HEAD = f"UPDATE {INVOICE} SET"
MOVED = f"UPDATE {AUDIT} SET invoice_id = %(to)s {OF_IT}"


def tamper(sql: str, **values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")  # checks that are due until now
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(sql, values)
        assert cursor.rowcount, "nothing was tampered with"
        cursor.execute("SET session_replication_role = origin")


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def verified() -> AuditVerification:
    verification = verify_audit.new_verification()
    while not verification.ended_at:
        verify_audit.verify_next_slice(verification)
    return verification


def found() -> list[tuple[int, int, str]]:
    return [(row["invoice"], row["seq"], row["what"]) for row in verified().first_broken]


def test_an_unchanged_audit_is_whole() -> None:
    for build in (cast.waiting, cast.issued, cast.failed):
        build()
    verification = verified()
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
        ("event_type = 'claim_expireD'", 2, 'its event_type is "claim_expireD", its record has "claim_expired"'),
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
    at_invoice = next(row for row in found() if row[0] == invoice.pk)
    assert at_invoice[1] == seq and at_invoice[2].startswith(what)
    assert verified().broken == (2 if "invoice_id" in change else 1)


@pytest.mark.parametrize(
    ("sql", "seq", "what"),
    [
        (f"DELETE FROM {AUDIT} {ROW}", 2, "the row is missing: row 3 is in its place"),
        (f"DELETE FROM {AUDIT} {OF_IT} AND seq = 3", 3, "the tail is missing: the invoice's head says 3"),
        (f"DELETE FROM {AUDIT} {OF_IT}", 1, "every row is missing: the invoice's head says 3"),
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
    ((broken, at, fault),) = found()
    assert (broken, at) == (invoice.pk, seq) and fault.startswith(what)


CUT = f"""
    WITH gone AS (DELETE FROM {AUDIT} {OF_IT} AND seq = 3)
    UPDATE {INVOICE} SET audit_seq = 2, audit_hash = (SELECT hash FROM {AUDIT} {ROW}) WHERE id = %(invoice)s
"""
ALL_OF_IT = f"""
    WITH rows AS (DELETE FROM {AUDIT} {OF_IT}) DELETE FROM {INVOICE} WHERE id = %(invoice)s
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
    ((broken, at, fault),) = found()
    assert (broken, at) == (invoice.pk, seq) and fault.startswith(what)


def test_a_row_moved_to_another_invoice_is_named_at_both() -> None:
    one, other = cast.waiting(), cast.queued()
    tamper(f"UPDATE {AUDIT} SET invoice_id = %(to)s {ROW}", invoice=other.pk, to=one.pk)
    assert found() == [
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
    ((_, seq, what),) = found()
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
            with undone():
                tamper(f"UPDATE {table} SET {column} = %(value)s WHERE id = %(id)s", value=value, id=row.pk)
                assert verified().broken, f"{table}.{column} was changed to {value!r}"
        except (IntegrityError, DataError, OverflowError):
            assume(False)  # PostgreSQL itself refuses it

    change()
    assert verified().broken == 0


def test_slices_miss_nothing_and_need_two_queries_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_audit, "SLICE", 3)
    invoices = sorted(cast.waiting().pk for _ in range(7))
    tamper(
        f"UPDATE {AUDIT} SET invoice_id = %(to)s {OF_IT}",
        invoice=invoices[0],
        to=-(2**63),
    )
    tamper(
        f"UPDATE {AUDIT} SET invoice_id = %(to)s {OF_IT}",
        invoice=invoices[6],
        to=2**63 - 1,
    )
    tamper(f"DELETE FROM {AUDIT} {OF_IT}", invoice=invoices[3])
    with CaptureQueriesContext(connection) as queries:
        assert {row[0] for row in found()} == {-(2**63), 2**63 - 1, invoices[0], invoices[3], invoices[6]}
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
        assert cast.move_to(moved, State.QUEUED, Event.CLAIM_EXPIRED, actor="test").audit_seq == 2
        cast.waiting()
    assert digest() == then
    rewrite(rewritten)
    assert digest() != then


def rewrite(invoice: Invoice) -> None:
    """Rewrite a chain consistently, with the heads in the invoice and in the history."""
    row = invoice.tracings.get()
    record = row.record.replace("WAITING", "EXPIRED")
    values = {"record": record, "hash": chain_hash("", record), "invoice": invoice.pk}
    tamper(f"UPDATE {AUDIT} SET record = %(record)s, hash = %(hash)s {OF_IT}", **values)
    for table in (INVOICE, HISTORY):
        tamper(f"UPDATE {table} SET audit_hash = %(hash)s WHERE id = %(invoice)s", **values)


# --- The command ------------------------------------------------------------------------------------------------------


def run(capsys: Any, *args: str) -> tuple[int, str]:
    try:
        call_command("verify_audit", *args)
        code = 0
    except SystemExit as stop:
        code = int(str(stop.code))
    return code, capsys.readouterr().out


def test_the_command_names_order_row_and_fault_and_exits_with_1(capsys: Any) -> None:
    invoice = cast.sending()
    code, out = run(capsys)
    assert code == 0 and "every chain is whole" in out
    tamper(f"UPDATE {AUDIT} SET actor = 'user:1' {ROW}", invoice=invoice.pk)
    code, out = run(capsys)
    assert code == 1
    assert f"order {invoice.order_id} of {invoice.merchant.code}, invoice {invoice.pk}, row 2: its actor is" in out
    code, out = run(capsys, "--json")
    report = json.loads(out)
    assert (code, report["broken"], report["digest"]) == (1, 1, "")
    assert report["firstBroken"][0] | {"what": ""} == {
        "invoice": str(invoice.pk), "seq": 2, "what": "", "order": invoice.order_id, "merchant": invoice.merchant.code,
    }  # fmt: skip


def test_one_order_can_be_verified_alone(capsys: Any) -> None:
    whole, broken = cast.sending(), cast.sending()
    tamper(f"DELETE FROM {AUDIT} {ROW}", invoice=broken.pk)
    assert run(capsys, whole.order_id)[0] == 0
    code, out = run(capsys, broken.order_id)
    assert code == 1 and "1 are broken" in out and "of 1 invoices" in out


def test_more_broken_invoices_than_are_named_are_counted(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_audit, "MAX_NAMED", 2)
    for _ in range(5):
        cast.waiting()
    tamper(f"UPDATE {AUDIT} SET actor = 'nobody'")
    code, out = run(capsys)
    assert code == 1 and out.count("its actor is") == 2 and "and 3 more invoices" in out and "5 are broken" in out


# --- By night ---------------------------------------------------------------------------------------------------------


def test_each_night_verifies_once_and_logs_the_result(caplog: pytest.LogCaptureFixture) -> None:
    cast.waiting()
    invoice = cast.sending()
    caplog.set_level("INFO", logger="invoices.upkeep.verify_audit")
    verify_audit.verify_nightly()
    verify_audit.verify_nightly()
    row = AuditVerification.objects.get()
    assert row.ended_at and (row.invoices, row.broken) == (2, 0)
    assert "[auditVerified]" in caplog.text and "[auditBroken]" not in caplog.text
    tamper(f"DELETE FROM {AUDIT} {ROW}", invoice=invoice.pk)
    with clock.frozen(clock.now() + timedelta(days=1)):
        verify_audit.verify_nightly()
    row = AuditVerification.objects.latest("started_at")
    assert row.first_broken[0]["seq"] == 2
    assert f"[auditBroken] invoice={invoice.pk} seq=2" in caplog.text and "the row is missing" in caplog.text
    assert f"broken=1 digest={row.digest}" in caplog.text
    gauges = {gauge.name: gauge for gauge in metrics.gauges()}
    assert gauges["audit_broken"].total == 1 and gauges["audit_broken"].link == "/admin/invoices/auditverification/"
    assert gauges["audit_verified_seconds"].total < 60


def remove_all_traces(invoice: Invoice) -> None:
    for table, column in ((AUDIT, "invoice_id"), (HISTORY, "id"), (INVOICE, "id")):
        tamper(f"DELETE FROM {table} WHERE {column} = %(invoice)s", invoice=invoice.pk)


@pytest.mark.parametrize("how", [rewrite, remove_all_traces])
def test_what_no_chain_shows_is_found_by_the_next_nights_digest(
    how: Any, settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capsys: Any
) -> None:
    monkeypatch.setattr(verify_audit, "SLICE", 1)
    settings.AUDIT_BITE = 1e-9  # many turns, each by another process
    now = clock.now()

    def night(count: int) -> AuditVerification:
        with clock.frozen(now + timedelta(days=count)):
            cast.waiting()  # new invoices make no difference
            while not AuditVerification.objects.filter(started_at=clock.now()).exclude(ended_at=None).exists():
                verify_audit.verify_nightly()
        return AuditVerification.objects.latest("started_at")

    invoice = cast.waiting()
    cast.sending()
    assert [night(at).broken for at in (1, 2)] == [0, 0]
    how(invoice)
    with clock.frozen(now + timedelta(days=2, hours=1)):
        code, out = run(capsys)
    assert code == 1 and "the whole audit: the digest differs from the one of the last verification" in out
    broken = night(3)
    assert (broken.broken, broken.first_broken[0]["what"]) == (1, verify_audit.DIFFERS.what)
    assert caplog.text.count("[auditBroken]") == 1
    assert night(4).broken == 0, "each night is compared with the one before"


def test_a_verification_continues_where_the_last_turn_ended_and_two_workers_share_it(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_audit, "SLICE", 2)
    for _ in range(5):
        cast.waiting()
    settings.AUDIT_BITE = 1e-9
    turns = 0
    while not AuditVerification.objects.exclude(ended_at=None).exists():
        verify_audit.verify_nightly()
        turns += 1
        assert turns < 20
    row = AuditVerification.objects.get()
    assert turns == 3 and (row.invoices, row.rows, row.broken) == (5, 5, 0)
    assert not verify_audit._save_slice(row, 1), "another worker has moved on from this position"


@pytest.mark.django_db(transaction=True)
def test_invoices_that_move_during_the_verification_are_whole() -> None:
    invoices = [cast.queued().pk for _ in range(3)]
    over = threading.Event()

    def keep_moving() -> None:
        while not over.is_set():
            move(invoices, cast.step_to(State.QUEUED, Event.FACT_NOTED), actor="test")
        connection.close()

    mover = threading.Thread(target=keep_moving)
    mover.start()
    try:
        while InvoiceAuditTracing.objects.count() < 60:
            assert found() == []
    finally:
        over.set()
        mover.join()

    with undone():
        tamper(f"UPDATE {AUDIT} SET actor = 'user:1' {ROW}", invoice=invoices[0])
        assert verified().broken == 1
