"""The command verify_audit and the nightly verification."""

import json
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from config.base import clock
from invoices import metrics
from invoices.audit import Event
from invoices.lifecycle import State
from invoices.models import AuditVerification, InvoiceAuditTracing
from invoices.moving import move
from invoices.upkeep import verify_audit
from tests import cast
from tests.invoices.upkeep.tampering import (
    AUDIT,
    ROW,
    find_faults,
    remove_all_traces,
    rewrite,
    rolled_back,
    tamper,
    verify,
)

pytestmark = pytest.mark.django_db


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
            assert find_faults() == []
    finally:
        over.set()
        mover.join()

    with rolled_back():
        tamper(f"UPDATE {AUDIT} SET actor = 'user:1' {ROW}", invoice=invoices[0])
        assert verify().broken == 1
