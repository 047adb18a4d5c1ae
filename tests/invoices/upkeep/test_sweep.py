"""The sweep: abandoned sends, refused buyers."""

from datetime import timedelta

import pytest

from config.base import clock
from invoices.lifecycle import State
from invoices.models import Invoice
from invoices.opening.conclude import apply_facts
from invoices.opening.facts import parse_payment, parse_refund
from invoices.operations.amend import amend
from invoices.upkeep.sweep import fall_back_to_consumers, mark_abandoned
from tests import cast

pytestmark = pytest.mark.django_db
WHO = {"actor": "user:7", "reason": "the buyer called"}


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


def test_a_refused_buyer_falls_back_to_the_consumer_before_the_limit_where_the_merchant_allows_it() -> None:
    yes, no = cast.failed(buyer=cast.COMPANY), cast.failed(cast.seller(consumer_fallback=False), buyer=cast.COMPANY)
    Invoice.objects.update(failure_field="buyer.tax_code")
    fall_back_to_consumers()
    assert Invoice.objects.get(pk=yes.pk).state == State.FAILED  # it is not late yet
    with clock.frozen(yes.issue_until - timedelta(minutes=5)):
        fall_back_to_consumers()
    assert (Invoice.objects.get(pk=yes.pk).state, Invoice.objects.get(pk=yes.pk).buyer) == (State.QUEUED, {})
    assert Invoice.objects.get(pk=no.pk).state == State.FAILED


def test_a_refused_buyer_of_a_partly_refunded_sale_stays_refused_until_its_lines_are_amended() -> None:
    sale = cast.payment(cast.seller())
    invoice = cast.refused(**sale)
    apply_facts(parse_refund(cast.refund(sale, amount=40000, full=False)), actor="test")
    with clock.frozen(invoice.issue_until - timedelta(minutes=5)):
        fall_back_to_consumers()
        assert Invoice.objects.get().state == State.FAILED
        amended = amend(invoice, **WHO, lines=sale["lines"][:1])
    assert (amended.state, amended.total) == (State.QUEUED, 70000)


def test_no_fact_restores_a_refused_buyer_after_the_fallback_to_the_consumer() -> None:
    sale = cast.payment(cast.seller(), buyer=cast.COMPANY)
    invoice = cast.refused(**sale)
    with clock.frozen(invoice.issue_until - timedelta(minutes=5)):
        fall_back_to_consumers()
        apply_facts(*parse_payment(sale), actor="test")
    assert (Invoice.objects.get().state, Invoice.objects.get().buyer) == (State.QUEUED, {})
