"""Refunds of invoices that a provider knows or may know."""

import pytest

from invoices.lifecycle import State
from invoices.opening.conclude import apply_facts
from invoices.opening.facts import parse_refund
from tests import cast

pytestmark = pytest.mark.django_db


def test_a_refund_while_a_provider_may_know_it_waits_for_the_answer() -> None:
    invoice = cast.uncertain()
    data = {"orderId": invoice.order_id, "merchantId": invoice.merchant.code, "total": invoice.total}
    apply_facts(parse_refund(cast.refund(data)), actor="test")
    invoice.refresh_from_db()
    assert (invoice.state, invoice.refunded_amount) == (State.UNCERTAIN, invoice.total)


def test_a_refund_after_issue_owes_a_correction() -> None:
    invoice = cast.issued()
    apply_facts(
        parse_refund(cast.refund({"orderId": invoice.order_id, "merchantId": invoice.merchant.code, "total": 110000})),
        actor="x",
    )
    invoice.refresh_from_db()
    assert (invoice.state, invoice.correction_owed) == (State.ISSUED, True)
