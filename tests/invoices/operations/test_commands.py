"""What operators do to one invoice beyond replaying it."""

from datetime import timedelta
from typing import Any

import pytest

from config.base import clock
from invoices.dev.simulator import Simulator
from invoices.lifecycle import State, WrongState
from invoices.models import Invoice
from invoices.moving import move_one
from invoices.opening.conclude import learn
from invoices.opening.facts import payment, refund
from invoices.operations.amend import amend
from invoices.operations.cancel import cancel
from invoices.operations.issue_now import issue_now
from invoices.operations.look_up import look_up
from invoices.operations.refresh_configuration import refresh_configuration
from invoices.operations.replay import replay
from invoices.operations.skip import skip
from merchants.models import TaxInfo
from tests import cast
from tests.invoices.provider_records import issue_at_provider, seller_at

pytestmark = pytest.mark.django_db
WHO = {"actor": "user:7", "reason": "the buyer called"}


def test_an_operator_issues_now_what_waits_for_its_buyer() -> None:
    invoice = cast.waiting()
    assert issue_now(invoice, **WHO, dry_run=True).state == State.QUEUED
    assert Invoice.objects.get().state == State.WAITING
    queued = issue_now(invoice, **WHO)
    assert (queued.state, queued.not_before <= clock.now()) == (State.QUEUED, True)
    with pytest.raises(WrongState, match="does not wait"):
        issue_now(invoice, **WHO)


@pytest.mark.parametrize("builder", [cast.waiting, cast.queued, cast.failed])
def test_an_operator_cancels_what_no_provider_can_know(builder: Any) -> None:
    invoice = builder()
    assert cancel(invoice, **WHO).state == State.CANCELLED
    last = invoice.tracings.last()
    assert last and (last.event_type, last.actor, last.reason) == ("cancelled", "user:7", "the buyer called")


def test_nothing_is_cancelled_that_a_provider_may_know_nor_before_the_last_look() -> None:
    for invoice in (cast.sending(), cast.in_doubt(), cast.issued()):
        with pytest.raises(WrongState, match="cannot be cancelled any more"):
            cancel(invoice, **WHO)
    with pytest.raises(WrongState, match="may be known"):
        cancel(skip(cast.in_doubt(), **WHO), **WHO)
    doubted = cast.failed()
    Invoice.objects.filter(pk=doubted.pk).update(doubted_at=clock.now(), look_again_at=clock.now())
    with pytest.raises(WrongState, match="last look"):
        cancel(Invoice.objects.get(pk=doubted.pk), **WHO)


def test_a_failed_invoice_takes_todays_configuration_and_its_audit_names_what_is_new() -> None:
    invoice = cast.failed(failure="account")
    info = invoice.merchant.tax_info
    with pytest.raises(WrongState, match="today's configuration already"):
        refresh_configuration(invoice, **WHO)
    info.address = "9 Hàng Bài"
    info.save()
    account = cast.account(invoice.merchant, symbol="C26TBB")
    invoice = Invoice.objects.get()
    foreseen = refresh_configuration(invoice, **WHO, dry_run=True)
    assert (foreseen.symbol, Invoice.objects.get().symbol) == ("C26TBB", "C26TAA")
    taken = refresh_configuration(invoice, **WHO)
    assert (taken.state, taken.failure, taken.account_id) == (State.FAILED, "account", account.pk)
    assert (taken.symbol, taken.document) == ("C26TBB", "")
    assert taken.config_snapshot["seller"]["address"] == "9 Hàng Bài"
    last = invoice.tracings.last()
    assert last and last.reason == "the buyer called (new: seller.address, account.id)"
    assert "Hàng Bài" not in last.record


def test_a_merchant_that_went_over_to_sales_invoices_is_billed_without_vat() -> None:
    invoice = cast.failed()
    TaxInfo.objects.update(method=TaxInfo.Method.DIRECT)
    with pytest.raises(WrongState, match="no account of form 2"):
        refresh_configuration(Invoice.objects.get(), **WHO)
    cast.account(invoice.merchant, form="2", symbol="C26MPH")
    taken = refresh_configuration(Invoice.objects.get(), **WHO)
    assert (taken.form, taken.symbol, taken.total, taken.vat) == ("2", "C26MPH", 110000, 0)


def test_only_what_failed_and_no_provider_knows_takes_another_configuration() -> None:
    with pytest.raises(WrongState, match="only a failed invoice"):
        refresh_configuration(cast.queued(), **WHO)
    with pytest.raises(WrongState, match="may be known"):
        refresh_configuration(skip(cast.in_doubt(), **WHO), **WHO)


@pytest.mark.django_db(transaction=True)
def test_an_operators_look_up_counts_like_the_pumps_and_is_audited(provider: Simulator) -> None:
    merchant = seller_at(provider)
    there, nowhere = cast.in_doubt(merchant=merchant), cast.in_doubt(merchant=merchant)
    issue_at_provider(there)
    looked = look_up(there, **WHO)
    assert (looked.invoice.state, looked.invoice.number) == (State.ISSUED, "1")
    looked = look_up(nowhere, **WHO)
    assert (looked.invoice.state, looked.answer, looked.told) == (
        State.UNCERTAIN,
        None,
        "the provider does not know it",
    )
    assert nowhere.issuances.get().looked_up == 1
    last = nowhere.tracings.last()
    assert last and (last.event_type, last.actor) == ("looked_up", "user:7")
    assert last.reason == "the buyer called – the provider does not know it"


def test_a_look_up_that_fails_proves_nothing_and_says_so() -> None:
    invoice = cast.in_doubt()  # at an address where nobody listens
    looked = look_up(invoice, **WHO)
    assert looked.invoice.state == State.UNCERTAIN and looked.told.startswith("the look-up failed: ")
    assert invoice.issuances.get().not_founds == 0
    last = invoice.tracings.last()
    assert last and last.outcome == "failed"


def test_nothing_is_looked_up_that_was_never_sent_or_is_just_being_sent() -> None:
    with pytest.raises(WrongState, match="never sent"):
        look_up(cast.queued(), **WHO)
    with pytest.raises(WrongState, match="just being sent"):
        look_up(cast.sending(), **WHO)


def test_a_dry_run_refuses_what_the_replay_would_refuse() -> None:
    invoice = cast.failed(failure="late")
    new_year = clock.at_vn(clock.today_vn().replace(year=clock.today_vn().year + 1, month=1, day=2), 9)
    with clock.frozen(new_year), pytest.raises(WrongState, match="symbol of"):
        replay(invoice, **WHO, dry_run=True)


def test_what_was_partly_refunded_after_it_failed_is_not_sent_whole() -> None:
    data = cast.payment(cast.seller())
    learn(*payment(data), actor="test")
    move_one(Invoice.objects.get(), State.FAILED, actor="worker", event="dead_letter", failure="exhausted")
    learn(refund(cast.refund(data, amount=40000, full=False)), actor="test")
    with pytest.raises(WrongState, match="amend its lines first"):
        replay(Invoice.objects.get(), **WHO)
    amend(Invoice.objects.get(), **WHO, lines=data["lines"][:1])
    assert Invoice.objects.get().total == 70000


def test_a_late_invoice_is_amended_and_carries_today() -> None:
    invoice = cast.failed(buyer=cast.COMPANY)
    with clock.frozen(clock.now() + timedelta(days=1)):
        with pytest.raises(WrongState, match="the seller decides"):
            amend(invoice, actor="buyer", reason="mended", buyer=cast.PERSON)
        amended = amend(invoice, **WHO, buyer=cast.PERSON)
        assert (amended.issue_date, amended.issue_until > clock.now()) == (clock.today_vn(), True)
