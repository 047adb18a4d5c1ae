"""Replay: sent again if no provider can know the invoice, looked up if one may."""

from datetime import date, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from config.base import clock
from invoices.audit import Event
from invoices.lifecycle import State, WrongState
from invoices.models import Invoice
from invoices.opening.conclude import apply_facts
from invoices.opening.facts import parse_payment, parse_refund
from invoices.operations.amend import amend
from invoices.operations.replay import replay
from invoices.operations.skip import skip
from invoices.upkeep.sweep import fail_late
from tests import cast

pytestmark = pytest.mark.django_db
WHO = {"actor": "user:7", "reason": "the buyer called"}


def test_a_failed_invoice_that_no_provider_knows_is_sent_again_with_new_attempts() -> None:
    invoice = cast.failed()
    assert replay(invoice, **WHO).state == State.QUEUED
    invoice.refresh_from_db()
    assert (invoice.state, invoice.attempts, invoice.failure) == (State.QUEUED, 0, "")
    last = invoice.tracings.last()
    assert last and (last.event_type, last.actor, last.reason) == ("replayed", "user:7", "the buyer called")


def test_a_failed_invoice_that_a_provider_may_know_is_looked_up_and_not_sent() -> None:
    invoice = skip(cast.uncertain(), **WHO)
    assert invoice.exposed
    assert replay(invoice, **WHO).state == State.UNCERTAIN


@pytest.mark.parametrize("builder", [cast.sending, cast.issued])
def test_a_replay_leaves_sending_and_issued_invoices_alone(builder: Any) -> None:
    invoice = builder()
    result = replay(invoice, **WHO)
    assert (result.acted, result.state) == (False, invoice.state)


def test_a_waiting_invoice_cannot_be_replayed() -> None:
    with pytest.raises(WrongState, match="WAITING"):
        replay(cast.waiting(), **WHO)


def test_a_dry_run_changes_nothing() -> None:
    invoice = cast.failed()
    assert replay(invoice, **WHO, dry_run=True).acted
    assert Invoice.objects.get().state == State.FAILED


def test_a_dry_run_refuses_what_the_replay_would_refuse() -> None:
    invoice = cast.failed(failure="late")
    new_year = clock.at_vn(clock.today_vn().replace(year=clock.today_vn().year + 1, month=1, day=2), 9)
    with clock.frozen(new_year), pytest.raises(WrongState, match="symbol of"):
        replay(invoice, **WHO, dry_run=True)


def test_a_late_invoice_is_dated_the_day_of_its_replay() -> None:
    invoice = cast.queued()
    tomorrow = clock.now() + timedelta(days=1)
    with clock.frozen(tomorrow):
        fail_late()
        invoice.refresh_from_db()
        assert (invoice.state, invoice.failure) == (State.FAILED, "late")
        replay(invoice, **WHO)
    invoice.refresh_from_db()
    assert invoice.issue_date == clock.day_vn(tomorrow)
    assert invoice.issue_until > tomorrow


def test_a_replay_in_the_new_year_uses_the_new_years_symbol_or_names_the_missing_one() -> None:
    year = clock.today_vn().year
    with clock.frozen(clock.at_vn(date(year, 12, 31), 10)):
        invoice = cast.failed(failure="late")
    with clock.frozen(clock.at_vn(date(year + 1, 1, 2), 9)):
        with pytest.raises(WrongState, match="symbol of"):
            replay(invoice, **WHO)
        cast.account(invoice.merchant, symbol=f"C{clock.today_vn():%y}TAA")
        replay(invoice, **WHO)
        invoice.refresh_from_db()
        assert invoice.symbol == invoice.account.symbol == f"C{clock.today_vn():%y}TAA"


def test_a_failed_invoice_that_was_partly_refunded_is_not_sent_with_its_old_lines() -> None:
    data = cast.payment(cast.seller())
    apply_facts(*parse_payment(data), actor="test")
    cast.move_to(Invoice.objects.get(), State.FAILED, Event.DEAD_LETTER, actor="worker", failure="exhausted")
    apply_facts(parse_refund(cast.refund(data, amount=40000, full=False)), actor="test")
    with pytest.raises(WrongState, match="Amend its lines first"):
        replay(Invoice.objects.get(), **WHO)
    amend(Invoice.objects.get(), **WHO, lines=data["lines"][:1])
    assert Invoice.objects.get().total == 70000


def test_the_command_replays_one_order_and_requires_a_reason(capsys: Any) -> None:
    invoice = cast.failed()
    with pytest.raises(CommandError, match="reason"):
        call_command("replay_issuance", invoice.order_id, "--reason", " ")
    call_command("replay_issuance", invoice.order_id, "--reason", "fixed", "--dry-run")
    assert Invoice.objects.get().state == State.FAILED
    call_command("replay_issuance", invoice.order_id, "--reason", "fixed")
    assert Invoice.objects.get().state == State.QUEUED
    assert "QUEUED" in capsys.readouterr().out
    assert invoice.tracings.get(event_type="replayed").actor.startswith("shell:")


def test_an_order_id_that_two_merchants_have_is_listed_and_nothing_is_replayed() -> None:
    for _ in range(2):
        cast.failed(orderId="same")
    with pytest.raises(CommandError, match="--merchant"):
        call_command("replay_issuance", "same", "--reason", "fixed")
    assert set(Invoice.objects.values_list("state", flat=True)) == {State.FAILED}
