"""Amend: a new document under the same reference, only while no provider can know the invoice."""

from datetime import timedelta
from typing import Any

import pytest

from config.base import clock
from invoices.lifecycle import State, WrongState
from invoices.models import Invoice
from invoices.opening.conclude import apply_facts
from invoices.opening.facts import Unacceptable, parse_payment, parse_refund, parse_request
from invoices.operations.amend import amend
from invoices.operations.replay import replay
from invoices.operations.skip import skip
from tests import cast

pytestmark = pytest.mark.django_db
WHO = {"actor": "user:7", "reason": "the buyer called"}


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
    apply_facts(*parse_payment(sale), actor="test")
    apply_facts(parse_request(cast.request(sale)), actor="test")
    invoice.refresh_from_db()
    assert (invoice.state, invoice.buyer, invoice.buyer_source) == (State.QUEUED, cast.PERSON, "operator")
    assert list(invoice.requests.order_by("id").values_list("too_late", flat=True)) == [False, True]


def test_an_invoice_amended_after_its_first_take_accepts_no_new_buyer() -> None:
    sale = cast.payment(cast.seller())
    invoice = amend(cast.refused(**sale), **WHO, lines=sale["lines"])
    apply_facts(parse_request(cast.request(sale, buyer=cast.PERSON)), actor="test")
    assert Invoice.objects.get().buyer == invoice.buyer == cast.COMPANY


def test_a_buyer_may_correct_only_refused_buyer_fields() -> None:
    amend(cast.failed(), actor="buyer", reason="corrected", buyer=cast.PERSON)
    with pytest.raises(WrongState):
        amend(cast.failed(failure="exhausted"), actor="buyer", reason="corrected", buyer=cast.PERSON)
    with pytest.raises(WrongState):
        amend(cast.failed(), actor="buyer", reason="corrected", lines=[])


def test_nothing_may_change_while_a_provider_may_know_it_nor_before_the_final_look_up() -> None:
    exposed = skip(cast.uncertain(), **WHO)
    with pytest.raises(WrongState, match="may be known to a provider"):
        amend(exposed, **WHO, buyer=cast.PERSON)
    uncertain = cast.failed()
    Invoice.objects.filter(pk=uncertain.pk).update(first_uncertain_at=clock.now(), final_lookup_at=clock.now())
    with pytest.raises(WrongState, match="final look-up"):
        amend(uncertain, **WHO, buyer=cast.PERSON)


def test_after_a_partial_refund_the_lines_are_amended_to_what_is_left() -> None:
    data = cast.payment(cast.seller())
    apply_facts(*parse_payment(data), actor="test")
    apply_facts(parse_refund(cast.refund(data, amount=40000, full=False)), actor="test")
    invoice = Invoice.objects.get()
    assert (invoice.state, invoice.failure) == (State.FAILED, "amended")
    with pytest.raises(WrongState, match="Amend its lines first"):
        replay(invoice, **WHO)
    with pytest.raises(Unacceptable, match="total"):
        amend(invoice, **WHO, lines=data["lines"])
    amended = amend(invoice, **WHO, lines=data["lines"][:1])
    assert (amended.state, amended.total, amended.open_refund) == (State.QUEUED, 70000, 0)


def test_a_late_invoice_is_amended_and_dated_today() -> None:
    invoice = cast.failed(buyer=cast.COMPANY)
    with clock.frozen(clock.now() + timedelta(days=1)):
        with pytest.raises(WrongState, match="The seller must decide"):
            amend(invoice, actor="buyer", reason="corrected", buyer=cast.PERSON)
        amended = amend(invoice, **WHO, buyer=cast.PERSON)
        assert (amended.issue_date, amended.issue_until > clock.now()) == (clock.today_vn(), True)
