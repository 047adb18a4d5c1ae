"""What operators (and the sweep in their stead) may do to an invoice, and what they may not."""

from datetime import date, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from config.base import clock
from invoices.dev.simulator import Simulator
from invoices.issuing.final_lookups import last_looks
from invoices.issuing.parked_accounts import probe_parked
from invoices.issuing.pump import issue_due
from invoices.lifecycle import State, WrongState
from invoices.models import Invoice
from invoices.opening.conclude import learn
from invoices.opening.facts import Unacceptable, payment, refund, request
from invoices.operations.adopt import adopt
from invoices.operations.amend import amend
from invoices.operations.replay import replay
from invoices.operations.skip import skip
from invoices.upkeep.sweep import fail_late, fall_back_to_consumers, mark_abandoned
from merchants.models import ProviderAccount
from tests import cast
from tests.invoices.provider_records import issue_at_provider, seller_at

pytestmark = pytest.mark.django_db
WHO = {"actor": "user:7", "reason": "the buyer called"}


def test_a_failed_invoice_that_no_provider_knows_is_sent_again_with_a_new_budget() -> None:
    invoice = cast.failed()
    assert replay(invoice, **WHO).state == State.QUEUED
    invoice.refresh_from_db()
    assert (invoice.state, invoice.attempts, invoice.failure) == (State.QUEUED, 0, "")
    last = invoice.tracings.last()
    assert last and (last.event_type, last.actor, last.reason) == ("replayed", "user:7", "the buyer called")


def test_a_failed_invoice_that_a_provider_may_know_is_asked_about_never_sent() -> None:
    invoice = skip(cast.in_doubt(), **WHO)
    assert invoice.exposed
    assert replay(invoice, **WHO).state == State.UNCERTAIN


@pytest.mark.parametrize("builder", [cast.sending, cast.issued])
def test_what_is_on_its_way_or_there_is_left_alone(builder: Any) -> None:
    invoice = builder()
    result = replay(invoice, **WHO)
    assert (result.acted, result.state) == (False, invoice.state)


def test_what_waits_for_its_buyer_cannot_be_replayed() -> None:
    with pytest.raises(WrongState, match="WAITING"):
        replay(cast.waiting(), **WHO)


def test_a_dry_run_tells_and_does_nothing() -> None:
    invoice = cast.failed()
    assert replay(invoice, **WHO, dry_run=True).acted
    assert Invoice.objects.get().state == State.FAILED


def test_a_late_invoice_carries_the_day_of_its_replay() -> None:
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


def test_a_replay_in_the_new_year_takes_the_new_year_s_symbol_or_says_that_it_is_missing() -> None:
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


def test_an_amended_buyer_is_sent_in_a_new_document_under_the_same_reference() -> None:
    invoice = cast.failed(buyer=cast.COMPANY)
    Invoice.objects.update(document='{"old": 1}')
    amended = amend(invoice, **WHO, buyer={**cast.COMPANY, "name": "Công ty TNHH Hoa Sen Hồng"})
    assert (amended.state, amended.document, amended.reference) == (State.QUEUED, "", invoice.reference)
    assert amended.buyer["name"] == "Công ty TNHH Hoa Sen Hồng"


@pytest.mark.parametrize("build", [cast.failed, cast.refused])  # never taken, and taken
def test_no_fact_undoes_an_amended_buyer(build: Any) -> None:
    sale = cast.payment(cast.seller(), buyer=cast.COMPANY)
    invoice = amend(build(**sale), **WHO, buyer=cast.PERSON)
    learn(*_payment(sale), actor="test")
    learn(request(cast.request(sale)), actor="test")
    invoice.refresh_from_db()
    assert (invoice.state, invoice.buyer, invoice.buyer_source) == (State.QUEUED, cast.PERSON, "operator")
    assert list(invoice.requests.order_by("id").values_list("too_late", flat=True)) == [False, True]


def test_what_was_amended_after_its_first_take_stays_closed_to_new_words() -> None:
    sale = cast.payment(cast.seller())
    invoice = amend(cast.refused(**sale), **WHO, lines=sale["lines"])
    learn(request(cast.request(sale, buyer=cast.PERSON)), actor="test")
    assert Invoice.objects.get().buyer == invoice.buyer == cast.COMPANY


def test_the_buyer_may_mend_only_what_was_refused_in_the_buyer_s_fields() -> None:
    amend(cast.failed(), actor="buyer", reason="mended", buyer=cast.PERSON)
    with pytest.raises(WrongState):
        amend(cast.failed(failure="exhausted"), actor="buyer", reason="mended", buyer=cast.PERSON)
    with pytest.raises(WrongState):
        amend(cast.failed(), actor="buyer", reason="mended", lines=[])


def test_nothing_may_change_while_a_provider_may_know_it_nor_before_the_last_look() -> None:
    exposed = skip(cast.in_doubt(), **WHO)
    with pytest.raises(WrongState, match="may be known to a provider"):
        amend(exposed, **WHO, buyer=cast.PERSON)
    doubted = cast.failed()
    Invoice.objects.filter(pk=doubted.pk).update(doubted_at=clock.now(), look_again_at=clock.now())
    with pytest.raises(WrongState, match="last look"):
        amend(doubted, **WHO, buyer=cast.PERSON)


def test_after_a_partial_refund_the_lines_are_amended_to_what_is_left() -> None:
    data = cast.payment(cast.seller())
    learn(*_payment(data), actor="test")
    learn(refund(cast.refund(data, amount=40000, full=False)), actor="test")
    invoice = Invoice.objects.get()
    assert (invoice.state, invoice.failure) == (State.FAILED, "amended")
    with pytest.raises(WrongState, match="amend its lines first"):
        replay(invoice, **WHO)
    with pytest.raises(Unacceptable, match="total"):
        amend(invoice, **WHO, lines=data["lines"])
    amended = amend(invoice, **WHO, lines=data["lines"][:1])
    assert (amended.state, amended.total, amended.open_refund) == (State.QUEUED, 70000, 0)


def _payment(data: dict[str, Any]) -> Any:
    return payment(data)


def test_a_refund_while_a_provider_may_know_it_waits_for_the_answer() -> None:
    invoice = cast.in_doubt()
    data = {"orderId": invoice.order_id, "merchantId": invoice.merchant.code, "total": invoice.total}
    learn(refund(cast.refund(data)), actor="test")
    invoice.refresh_from_db()
    assert (invoice.state, invoice.refunded_amount) == (State.UNCERTAIN, invoice.total)


def test_a_refund_after_issue_owes_a_correction() -> None:
    invoice = cast.issued()
    learn(
        refund(cast.refund({"orderId": invoice.order_id, "merchantId": invoice.merchant.code, "total": 110000})),
        actor="x",
    )
    invoice.refresh_from_db()
    assert (invoice.state, invoice.correction_owed) == (State.ISSUED, True)


def test_a_refused_buyer_gives_way_to_the_consumer_before_the_limit_where_the_merchant_wants_it() -> None:
    yes, no = cast.failed(buyer=cast.COMPANY), cast.failed(cast.seller(consumer_fallback=False), buyer=cast.COMPANY)
    Invoice.objects.update(failure_field="buyer.tax_code")
    fall_back_to_consumers()
    assert Invoice.objects.get(pk=yes.pk).state == State.FAILED  # there is time yet
    with clock.frozen(yes.issue_until - timedelta(minutes=5)):
        fall_back_to_consumers()
    assert (Invoice.objects.get(pk=yes.pk).state, Invoice.objects.get(pk=yes.pk).buyer) == (State.QUEUED, {})
    assert Invoice.objects.get(pk=no.pk).state == State.FAILED


def test_a_refused_buyer_of_a_partly_refunded_sale_stays_refused_until_its_lines_are_amended() -> None:
    sale = cast.payment(cast.seller())
    invoice = cast.refused(**sale)
    learn(refund(cast.refund(sale, amount=40000, full=False)), actor="test")
    with clock.frozen(invoice.issue_until - timedelta(minutes=5)):
        fall_back_to_consumers()
        assert Invoice.objects.get().state == State.FAILED
        amended = amend(invoice, **WHO, lines=sale["lines"][:1])
    assert (amended.state, amended.total) == (State.QUEUED, 70000)


def test_no_fact_brings_a_refused_buyer_back_that_gave_way_to_the_consumer() -> None:
    sale = cast.payment(cast.seller(), buyer=cast.COMPANY)
    invoice = cast.refused(**sale)
    with clock.frozen(invoice.issue_until - timedelta(minutes=5)):
        fall_back_to_consumers()
        learn(*_payment(sale), actor="test")
    assert (Invoice.objects.get().state, Invoice.objects.get().buyer) == (State.QUEUED, {})


def test_an_abandoned_send_becomes_uncertain_once_the_longest_call_is_over() -> None:
    invoice = cast.sending()
    mark_abandoned()
    assert Invoice.objects.get().state == State.SENDING
    with clock.frozen(clock.now() + timedelta(minutes=3)):
        mark_abandoned()
        mark_abandoned()
    invoice.refresh_from_db()
    assert (invoice.state, invoice.exposed) == (State.UNCERTAIN, True)
    assert invoice.issuances.get().outcome == "abandoned"
    assert invoice.tracings.filter(event_type="abandoned").count() == 1


def test_a_skipped_invoice_frees_its_lane_for_the_next_day() -> None:
    stuck = cast.in_doubt()
    assert skip(stuck, **WHO).failure == "skipped"
    with pytest.raises(WrongState):
        skip(cast.issued(), **WHO)


def test_the_last_look_ends_a_doubt_or_finds_a_conflict(provider: Simulator) -> None:
    merchant = seller_at(provider)
    absent, present = skip(cast.in_doubt(merchant=merchant), **WHO), skip(cast.in_doubt(merchant=merchant), **WHO)
    for invoice in (absent, present):
        Invoice.objects.filter(pk=invoice.pk).update(exposed_at=None, exposed_by=None)
    issue_at_provider(present)
    with clock.frozen(clock.now() + timedelta(days=2)):
        assert last_looks() == 2
        assert last_looks() == 0
    absent.refresh_from_db()
    present.refresh_from_db()
    assert (absent.failure, absent.doubted_at, absent.look_again_at) == ("skipped", None, None)
    assert (present.state, present.failure) == (State.FAILED, "conflict")


def test_an_operator_adopts_what_the_provider_has(provider: Simulator) -> None:
    invoice = skip(cast.in_doubt(merchant=seller_at(provider)), **WHO)
    with pytest.raises(WrongState, match="does not know"):
        adopt(invoice, **WHO)
    issue_at_provider(invoice)
    adopted = adopt(invoice, **WHO)
    assert (adopted.state, adopted.number) == (State.ISSUED, "1")


def test_a_wrong_login_parks_the_account_until_a_probe_finds_it_mended(provider: Simulator, settings: Any) -> None:
    merchant = seller_at(provider)
    account = merchant.accounts.get()
    account.set_credentials({"username": merchant.tax_info.tax_code, "password": "wrong"})
    account.save()
    invoice = cast.queued(merchant)
    issue_due(invoice.partition)
    invoice.refresh_from_db()
    account.refresh_from_db()
    assert (invoice.state, invoice.attempts) == (State.QUEUED, 0)
    assert account.parked_for_login
    later = clock.now() + timedelta(minutes=10)
    with clock.frozen(later):
        issue_due(invoice.partition)  # time alone does not reopen a login
        assert probe_parked() == 0
    with clock.frozen(later + timedelta(minutes=10)):
        account.set_credentials({"username": merchant.tax_info.tax_code, "password": f"pass-{merchant.code}"})
        ProviderAccount.objects.filter(pk=account.pk).update(encrypted_credentials=account.encrypted_credentials)
        assert probe_parked() == 1
        issue_due(invoice.partition)
    assert Invoice.objects.get().state == State.ISSUED


def test_the_command_replays_one_order_and_wants_a_reason(capsys: Any) -> None:
    invoice = cast.failed()
    with pytest.raises(CommandError, match="reason"):
        call_command("replay_issuance", invoice.order_id, "--reason", " ")
    call_command("replay_issuance", invoice.order_id, "--reason", "mended", "--dry-run")
    assert Invoice.objects.get().state == State.FAILED
    call_command("replay_issuance", invoice.order_id, "--reason", "mended")
    assert Invoice.objects.get().state == State.QUEUED
    assert "QUEUED" in capsys.readouterr().out
    assert invoice.tracings.get(event_type="replayed").actor.startswith("shell:")


def test_an_order_id_that_two_merchants_have_is_listed_and_nothing_is_replayed() -> None:
    for _ in range(2):
        cast.failed(orderId="same")
    with pytest.raises(CommandError, match="--merchant"):
        call_command("replay_issuance", "same", "--reason", "mended")
    assert set(Invoice.objects.values_list("state", flat=True)) == {State.FAILED}
