"""What becomes of a sale whose claim window has closed."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config.base import clock
from invoices.lifecycle import State
from invoices.models import Invoice
from invoices.opening.claim_window import close_claim_windows
from invoices.operations.claim import claim
from tests import cast
from tests.claims.stages import event_types, overdue, reload_invoice

pytestmark = pytest.mark.django_db


def test_an_unclaimed_sale_goes_to_the_consumer_now() -> None:
    invoice = overdue(unclaimed="consumer")
    with clock.frozen(clock.now()):
        assert close_claim_windows(invoice.partition) == 1
        expired = reload_invoice(invoice)
        assert (expired.state, expired.buyer, expired.not_before) == (State.QUEUED, {}, clock.now())
    assert event_types(invoice) == ["opened", "claim_window_closed"]
    assert expired.tracings.last().actor == "beat"


def test_an_unclaimed_sale_lapses_if_the_merchant_wants_it() -> None:
    invoice = overdue(unclaimed="lapse")
    assert close_claim_windows(invoice.partition) == 1
    assert reload_invoice(invoice).state == State.EXPIRED


def test_a_buyer_known_from_the_checkout_gets_the_invoice_whatever_the_policy() -> None:
    invoice = overdue(unclaimed="lapse")
    Invoice.objects.filter(pk=invoice.pk).update(buyer=cast.PERSON, buyer_source="checkout")
    assert close_claim_windows(invoice.partition) == 1
    assert (reload_invoice(invoice).state, reload_invoice(invoice).buyer) == (State.QUEUED, cast.PERSON)


def test_the_policy_is_that_of_the_time_of_opening() -> None:
    invoice = overdue(unclaimed="lapse")
    invoice.merchant.unclaimed = "consumer"
    invoice.merchant.save()
    close_claim_windows(invoice.partition)
    assert reload_invoice(invoice).state == State.EXPIRED


def test_expiry_leaves_other_partitions_open_windows_and_claims_alone() -> None:
    elsewhere, waiting, claimed = overdue(), cast.waiting(), cast.waiting()
    claim(claimed.claim_token, cast.COMPANY)
    for partition in range(3):
        if partition != elsewhere.partition:
            close_claim_windows(partition)
    assert [reload_invoice(i).state for i in (elsewhere, waiting, claimed)] == [
        State.WAITING,
        State.WAITING,
        State.QUEUED,
    ]


def test_expiring_twice_changes_nothing_more() -> None:
    invoice = overdue()
    assert [close_claim_windows(invoice.partition), close_claim_windows(invoice.partition)] == [1, 0]
    assert event_types(invoice) == ["opened", "claim_window_closed"]


def test_a_hundred_expire_in_as_many_statements_as_one() -> None:
    merchant, counts = cast.seller(), []
    for count in (1, 100):
        opened = [cast.waiting(merchant, orderId=f"same-slice-{count}-{at}") for at in range(count)]
        past = clock.now() - timedelta(seconds=1)
        Invoice.objects.filter(pk__in=[i.pk for i in opened]).update(claim_deadline=past, partition=0)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert close_claim_windows(0) == count
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 10
