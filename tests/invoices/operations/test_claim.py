"""The buyer's act: claim, edit, too late."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from config.base import clock
from invoices.issuing.take import take
from invoices.lifecycle import State
from invoices.models import Invoice, InvoiceRequest, LegalRules
from invoices.moving import move_one
from invoices.opening.buyers import InvalidBuyer
from invoices.opening.claim_window import expire_claims
from invoices.opening.conclude import learn
from invoices.opening.facts import payment as payment_fact
from invoices.opening.facts import refund as refund_fact
from invoices.opening.facts import request as request_fact
from invoices.operations.amend import amend
from invoices.operations.claim import Closed, Taken, Unknown, claim, find
from tests import cast
from tests.claims.stages import again, events, overdue

pytestmark = pytest.mark.django_db


def test_a_claim_queues_the_invoice_for_the_buyer_in_two_minutes() -> None:
    invoice = cast.waiting()
    with clock.frozen(clock.now()):
        claimed = claim(invoice.claim_token, cast.COMPANY)
        assert (claimed.state, claimed.buyer, claimed.buyer_source) == (State.QUEUED, cast.COMPANY, "claim")
        assert claimed.claimed_at == clock.now()
        assert claimed.not_before == clock.now() + timedelta(minutes=2)
    assert events(invoice) == ["opened", "claimed"]
    assert claimed.tracings.last().actor == "buyer"


def test_a_claim_beats_what_the_checkout_said() -> None:
    sale = cast.payment(cast.seller(), buyer=cast.PERSON)
    learn(request_fact(cast.request(sale, buyer=cast.PERSON)), actor="test")
    invoice = cast.waiting(**sale)
    assert claim(invoice.claim_token, cast.COMPANY).buyer == cast.COMPANY


def test_an_edit_changes_the_buyer_and_not_the_hour() -> None:
    invoice = cast.waiting()
    first = claim(invoice.claim_token, cast.COMPANY)
    second = claim(invoice.claim_token, cast.PERSON)
    assert second.buyer == cast.PERSON
    assert (second.not_before, second.claimed_at) == (first.not_before, first.claimed_at)
    assert events(invoice) == ["opened", "claimed", "buyer_changed"]
    assert [r.buyer for r in again(invoice).requests.filter(source="claim").order_by("requested_at")] == [
        cast.COMPANY,
        cast.PERSON,
    ]


def test_the_last_of_many_edits_wins_even_when_the_clock_stands_still() -> None:
    invoice = cast.waiting()
    with clock.frozen(clock.now()):
        for at in range(12):
            edited = claim(invoice.claim_token, cast.PERSON | {"name": f"Nguyễn Văn {at}"})
            assert edited.buyer["name"] == f"Nguyễn Văn {at}"


def test_the_same_details_twice_are_one_claim() -> None:
    invoice = cast.waiting()
    claim(invoice.claim_token, cast.COMPANY)
    assert claim(invoice.claim_token, cast.COMPANY).state == State.QUEUED
    assert events(invoice) == ["opened", "claimed"]


def test_who_claimed_in_time_may_edit_after_the_deadline_until_it_is_taken() -> None:
    invoice = cast.waiting()
    claim(invoice.claim_token, cast.COMPANY)
    with clock.frozen(invoice.claim_deadline + timedelta(minutes=1)):
        assert claim(invoice.claim_token, cast.PERSON).buyer == cast.PERSON
        taken = [call.invoice_id for call in take(invoice.partition, 10)]
        assert taken == [invoice.pk]
        with pytest.raises(Taken):
            claim(invoice.claim_token, cast.COMPANY)
    assert again(invoice).buyer == cast.PERSON


def test_the_document_that_is_sent_names_the_edited_buyer() -> None:
    invoice = cast.waiting()
    claim(invoice.claim_token, cast.COMPANY)
    edited = claim(invoice.claim_token, cast.PERSON)
    with clock.frozen(edited.not_before):
        (call,) = take(invoice.partition, 10)
    assert cast.PERSON["name"] in call.document
    assert cast.COMPANY["name"] not in call.document


def test_the_deadline_itself_is_too_late() -> None:
    invoice = cast.waiting()
    with clock.frozen(invoice.claim_deadline), pytest.raises(Closed):
        claim(invoice.claim_token, cast.COMPANY)
    with clock.frozen(invoice.claim_deadline - timedelta(microseconds=1)):
        assert claim(invoice.claim_token, cast.COMPANY).state == State.QUEUED


def test_an_invoice_on_its_way_to_the_consumer_is_closed_although_nobody_took_it() -> None:
    invoice = overdue()
    expire_claims(invoice.partition)
    with pytest.raises(Closed):
        claim(invoice.claim_token, cast.COMPANY)
    assert not InvoiceRequest.objects.filter(source="claim").exists()


def test_a_sale_without_a_window_is_closed() -> None:
    invoice = cast.waiting(cast.seller(claim_window=0))
    with pytest.raises(Closed):
        claim(invoice.claim_token, cast.COMPANY)


@pytest.mark.parametrize("build", [cast.sending, cast.issued, cast.failed])
def test_what_a_provider_may_know_is_taken(build: Callable[[], Invoice]) -> None:
    invoice = build()
    with pytest.raises(Taken):
        claim(invoice.claim_token, cast.COMPANY)
    assert again(invoice).buyer == {}
    assert not InvoiceRequest.objects.filter(source="claim").exists()


def test_a_refunded_sale_is_closed() -> None:
    sale = cast.payment(cast.seller())
    invoice = cast.waiting(**sale)
    learn(refund_fact(cast.refund(sale)), actor="test")
    with pytest.raises(Closed):
        claim(invoice.claim_token, cast.COMPANY)


def test_one_that_was_queued_before_its_window_closed_may_still_be_claimed() -> None:
    invoice = cast.queued()
    claimed = claim(invoice.claim_token, cast.COMPANY)
    assert claimed.claimed_at is not None
    assert claimed.not_before == invoice.not_before
    assert events(invoice)[-1] == "claimed"


@pytest.mark.parametrize("token", ["", "nobody", "x" * 32, "x" * 500, "a\x00b" * 8, "../../etc", "đ" * 20])
def test_an_unknown_token_leads_nowhere(token: str) -> None:
    with pytest.raises(Unknown):
        find(token)


def test_every_problem_is_told_at_once_and_nothing_changes() -> None:
    invoice = cast.waiting()
    with pytest.raises(InvalidBuyer) as told:
        claim(invoice.claim_token, {"kind": "company", "name": "A", "taxCode": "0100109107", "email": "nobody"})
    assert set(told.value.problems) == {"taxCode", "email", "address"}
    assert events(invoice) == ["opened"]


def test_too_late_is_said_before_the_form_is_criticised() -> None:
    with pytest.raises(Closed):
        claim(overdue().claim_token, {"kind": "nonsense"})


def test_no_claim_waits_past_the_cut_off_of_its_day() -> None:
    day = clock.today_vn() + timedelta(days=1)
    with clock.frozen(clock.at_vn(day, 21, 58)):
        invoice = cast.waiting()
    cutoff = LegalRules.on(day).claim_cutoff(day)
    assert invoice.claim_deadline <= cutoff == clock.at_vn(day, 23, 55)
    with clock.frozen(invoice.claim_deadline - timedelta(seconds=1)):
        assert claim(invoice.claim_token, cast.COMPANY).not_before <= cutoff


def test_a_claim_costs_a_bounded_number_of_statements(django_assert_max_num_queries: Any) -> None:
    invoice = cast.waiting()
    with django_assert_max_num_queries(24):
        claim(invoice.claim_token, cast.COMPANY)


def test_what_waits_for_its_next_send_is_taken_and_once_refunded_closed() -> None:
    sale = cast.payment(cast.seller())
    invoice = cast.sending(**sale)
    move_one(invoice, State.QUEUED, actor="worker", event="unavailable", exposed_at=None, exposed_by=None)
    with pytest.raises(Taken):
        claim(invoice.claim_token, cast.COMPANY)
    learn(refund_fact(cast.refund(sale)), actor="test")
    with pytest.raises(Closed):
        claim(invoice.claim_token, cast.COMPANY)


def refused_for_its_buyer() -> Invoice:
    invoice = cast.failed(buyer=cast.COMPANY)
    Invoice.objects.filter(pk=invoice.pk).update(failure_field="buyer.tax_code", document='{"old": 1}')
    return Invoice.objects.get(pk=invoice.pk)


def test_a_buyer_whose_details_were_refused_may_mend_them() -> None:
    invoice = refused_for_its_buyer()
    mended = claim(invoice.claim_token, {**cast.COMPANY, "taxCode": "0300588569"})
    assert (mended.state, mended.buyer["taxCode"], mended.document) == (State.QUEUED, "0300588569", "")
    assert mended.requests.filter(source="claim").count() == 1


def test_mended_details_stand_whatever_is_told_again() -> None:
    sale = cast.payment(cast.seller(), buyer=cast.COMPANY)
    invoice = cast.refused(**sale)
    claim(invoice.claim_token, cast.PERSON)
    learn(*payment_fact(sale), actor="test")
    assert (again(invoice).buyer, again(invoice).claimed_at) == (cast.PERSON, None)
    with pytest.raises(Taken):  # until the provider refuses these too
        claim(invoice.claim_token, cast.COMPANY)


def test_a_buyer_whom_an_operator_has_named_cannot_be_claimed_away() -> None:
    invoice = amend(cast.failed(), actor="user:7", reason="they called", buyer=cast.COMPANY)
    with pytest.raises(Taken):
        claim(invoice.claim_token, cast.PERSON)


def test_what_failed_for_another_reason_or_may_be_known_is_not_the_buyers_to_mend() -> None:
    for change in ({"failure": "exhausted"}, {"doubted_at": clock.now()}, {"issue_until": clock.now()}):
        invoice = refused_for_its_buyer()
        Invoice.objects.filter(pk=invoice.pk).update(**change)
        with pytest.raises(Taken):
            claim(invoice.claim_token, cast.PERSON)


def test_the_page_of_a_refused_buyer_shows_the_form_and_asks_to_check_it(client: Any) -> None:
    invoice = refused_for_its_buyer()
    page = client.get(f"/claims/{invoice.claim_token}?lang=en").content.decode()
    assert "Please check your details" in page and 'name="taxCode"' in page
