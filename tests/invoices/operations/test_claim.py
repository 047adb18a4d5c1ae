"""Claims: claim, edit, correct, and when it is too late."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from config.base import clock
from invoices.audit import Event
from invoices.issuing.take import take
from invoices.lifecycle import State
from invoices.models import Invoice, InvoiceRequest, LegalRules
from invoices.opening.buyers import InvalidBuyer
from invoices.opening.claim_window import close_claim_windows
from invoices.opening.conclude import apply_facts
from invoices.opening.facts import parse_payment as payment_fact
from invoices.opening.facts import parse_refund as refund_fact
from invoices.opening.facts import parse_request as request_fact
from invoices.operations.amend import amend
from invoices.operations.claim import Closed, Taken, UnknownToken, claim, find_claimable
from tests import cast
from tests.claims.stages import event_types, overdue, reload_invoice

pytestmark = pytest.mark.django_db


def test_a_claim_queues_the_invoice_for_the_buyer_in_two_minutes() -> None:
    invoice = cast.waiting()
    with clock.frozen(clock.now()):
        claimed = claim(invoice.claim_token, cast.COMPANY)
        assert (claimed.state, claimed.buyer, claimed.buyer_source) == (State.QUEUED, cast.COMPANY, "claim")
        assert claimed.claimed_at == clock.now()
        assert claimed.not_before == clock.now() + timedelta(minutes=2)
    assert event_types(invoice) == ["opened", "claimed"]
    assert claimed.tracings.last().actor == "buyer"


def test_a_claim_takes_precedence_over_the_checkouts_request() -> None:
    sale = cast.payment(cast.seller(), buyer=cast.PERSON)
    apply_facts(request_fact(cast.request(sale, buyer=cast.PERSON)), actor="test")
    invoice = cast.waiting(**sale)
    assert claim(invoice.claim_token, cast.COMPANY).buyer == cast.COMPANY


def test_an_edit_changes_the_buyer_and_not_the_times() -> None:
    invoice = cast.waiting()
    first = claim(invoice.claim_token, cast.COMPANY)
    second = claim(invoice.claim_token, cast.PERSON)
    assert second.buyer == cast.PERSON
    assert (second.not_before, second.claimed_at) == (first.not_before, first.claimed_at)
    assert event_types(invoice) == ["opened", "claimed", "buyer_changed"]
    assert [r.buyer for r in reload_invoice(invoice).requests.filter(source="claim").order_by("requested_at")] == [
        cast.COMPANY,
        cast.PERSON,
    ]


def test_the_last_of_many_edits_wins_even_with_equal_times() -> None:
    invoice = cast.waiting()
    with clock.frozen(clock.now()):
        for at in range(12):
            edited = claim(invoice.claim_token, cast.PERSON | {"name": f"Nguyễn Văn {at}"})
            assert edited.buyer["name"] == f"Nguyễn Văn {at}"


def test_the_same_details_twice_are_one_claim() -> None:
    invoice = cast.waiting()
    claim(invoice.claim_token, cast.COMPANY)
    assert claim(invoice.claim_token, cast.COMPANY).state == State.QUEUED
    assert event_types(invoice) == ["opened", "claimed"]


def test_a_claim_made_in_time_may_be_edited_after_the_deadline_until_it_is_taken() -> None:
    invoice = cast.waiting()
    claim(invoice.claim_token, cast.COMPANY)
    with clock.frozen(invoice.claim_deadline + timedelta(minutes=1)):
        assert claim(invoice.claim_token, cast.PERSON).buyer == cast.PERSON
        taken = [call.invoice_id for call in take(invoice.partition, 10)]
        assert taken == [invoice.pk]
        with pytest.raises(Taken):
            claim(invoice.claim_token, cast.COMPANY)
    assert reload_invoice(invoice).buyer == cast.PERSON


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


def test_an_invoice_queued_for_the_consumer_is_closed_before_it_is_taken() -> None:
    invoice = overdue()
    close_claim_windows(invoice.partition)
    with pytest.raises(Closed):
        claim(invoice.claim_token, cast.COMPANY)
    assert not InvoiceRequest.objects.filter(source="claim").exists()


def test_a_sale_without_a_window_is_closed() -> None:
    invoice = cast.waiting(cast.seller(claim_window=0))
    with pytest.raises(Closed):
        claim(invoice.claim_token, cast.COMPANY)


@pytest.mark.parametrize("build", [cast.sending, cast.issued, cast.failed])
def test_an_invoice_that_a_provider_may_know_is_taken(build: Callable[[], Invoice]) -> None:
    invoice = build()
    with pytest.raises(Taken):
        claim(invoice.claim_token, cast.COMPANY)
    assert reload_invoice(invoice).buyer == {}
    assert not InvoiceRequest.objects.filter(source="claim").exists()


def test_a_refunded_sale_is_closed() -> None:
    sale = cast.payment(cast.seller())
    invoice = cast.waiting(**sale)
    apply_facts(refund_fact(cast.refund(sale)), actor="test")
    with pytest.raises(Closed):
        claim(invoice.claim_token, cast.COMPANY)


def test_an_invoice_queued_before_its_window_closed_may_still_be_claimed() -> None:
    invoice = cast.queued()
    claimed = claim(invoice.claim_token, cast.COMPANY)
    assert claimed.claimed_at is not None
    assert claimed.not_before == invoice.not_before
    assert event_types(invoice)[-1] == "claimed"


@pytest.mark.parametrize("token", ["", "nobody", "x" * 32, "x" * 500, "a\x00b" * 8, "../../etc", "đ" * 20])
def test_an_unknown_token_finds_nothing(token: str) -> None:
    with pytest.raises(UnknownToken):
        find_claimable(token)


def test_all_problems_are_reported_together_and_nothing_changes() -> None:
    invoice = cast.waiting()
    with pytest.raises(InvalidBuyer) as error:
        claim(invoice.claim_token, {"kind": "company", "name": "A", "taxCode": "0100109107", "email": "nobody"})
    assert set(error.value.problems) == {"taxCode", "email", "address"}
    assert event_types(invoice) == ["opened"]


def test_too_late_is_reported_before_errors_in_the_form() -> None:
    with pytest.raises(Closed):
        claim(overdue().claim_token, {"kind": "nonsense"})


def test_no_claim_waits_longer_than_the_cut_off_of_its_day() -> None:
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


def test_an_invoice_that_waits_for_its_next_send_is_taken_and_closed_once_refunded() -> None:
    sale = cast.payment(cast.seller())
    invoice = cast.sending(**sale)
    cast.move_to(invoice, State.QUEUED, Event.RETRY_SCHEDULED, actor="worker", exposed_at=None, exposed_by=None)
    with pytest.raises(Taken):
        claim(invoice.claim_token, cast.COMPANY)
    apply_facts(refund_fact(cast.refund(sale)), actor="test")
    with pytest.raises(Closed):
        claim(invoice.claim_token, cast.COMPANY)


def refused_buyer() -> Invoice:
    invoice = cast.failed(buyer=cast.COMPANY)
    Invoice.objects.filter(pk=invoice.pk).update(failure_field="buyer.tax_code", document='{"old": 1}')
    return Invoice.objects.get(pk=invoice.pk)


def test_a_buyer_whose_details_were_refused_may_correct_them() -> None:
    invoice = refused_buyer()
    corrected = claim(invoice.claim_token, {**cast.COMPANY, "taxCode": "0300588569"})
    assert (corrected.state, corrected.buyer["taxCode"], corrected.document) == (State.QUEUED, "0300588569", "")
    assert corrected.requests.filter(source="claim").count() == 1


def test_corrected_details_are_not_undone_by_a_repeated_payment() -> None:
    sale = cast.payment(cast.seller(), buyer=cast.COMPANY)
    invoice = cast.refused(**sale)
    claim(invoice.claim_token, cast.PERSON)
    apply_facts(*payment_fact(sale), actor="test")
    assert (reload_invoice(invoice).buyer, reload_invoice(invoice).claimed_at) == (cast.PERSON, None)
    with pytest.raises(Taken):  # until the provider refuses these too
        claim(invoice.claim_token, cast.COMPANY)


def test_a_buyer_set_by_an_operator_cannot_be_replaced_by_a_claim() -> None:
    invoice = amend(cast.failed(), actor="user:7", reason="they called", buyer=cast.COMPANY)
    with pytest.raises(Taken):
        claim(invoice.claim_token, cast.PERSON)


def test_a_buyer_may_not_correct_what_failed_otherwise_or_may_be_known_or_is_late() -> None:
    for change in ({"failure": "exhausted"}, {"first_uncertain_at": clock.now()}, {"issue_until": clock.now()}):
        invoice = refused_buyer()
        Invoice.objects.filter(pk=invoice.pk).update(**change)
        with pytest.raises(Taken):
            claim(invoice.claim_token, cast.PERSON)


def test_the_page_of_a_refused_buyer_shows_the_form_and_asks_to_check_it(client: Any) -> None:
    invoice = refused_buyer()
    page = client.get(f"/claims/{invoice.claim_token}?lang=en").content.decode()
    assert "Please check your details" in page and 'name="taxCode"' in page
