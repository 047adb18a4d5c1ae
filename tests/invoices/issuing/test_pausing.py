"""What operators pause is not sent; everything else is."""

from typing import Any

import pytest

from config.base import clock
from invoices.dev.simulator import Simulator
from invoices.issuing.pump import issue_due
from invoices.issuing.take import take
from invoices.lifecycle import State
from invoices.models import Invoice, Partition
from merchants.models import Merchant
from merchants.pause import pause, resume
from tests import cast

BY = {"actor": "user:7", "reason": "stock-taking"}


def taken() -> set[int]:
    return {call.invoice_id for p in range(3) for call in take(p, 200)}


@pytest.mark.django_db
@pytest.mark.parametrize("what", ["merchant", "account", "partition"])
def test_only_what_is_paused_is_not_taken_until_it_is_resumed(what: str) -> None:
    paused, other = cast.queued(orderId="order-1"), cast.queued(orderId="order-2")
    assert paused.partition != other.partition
    Partition.objects.bulk_create(Partition(number=p) for p in range(3))
    row: Any = Partition.objects.get(pk=paused.partition) if what == "partition" else getattr(paused, what)
    assert pause(row, **BY)
    assert taken() == {other.pk}
    assert resume(row, **BY)
    assert taken() == {paused.pk}


@pytest.mark.django_db
def test_slots_freed_at_a_paused_merchant_are_not_used_again() -> None:
    merchant = cast.seller()
    first = cast.sending(merchant)
    cast.queued(merchant)
    pause(merchant, **BY)
    assert take((first.partition + 1) % 3, 200, freed={first.account_id}) == []


@pytest.mark.django_db(transaction=True)
def test_uncertain_invoices_of_a_paused_merchant_are_still_looked_up(provider: Simulator) -> None:
    merchant = cast.seller(url=provider.url)
    provider.add_tenants([cast.tenant(merchant)])
    provider.add_fault("5xx-after-issue", count=1)
    invoice = cast.queued(merchant)
    issue_due(invoice.partition)
    pause(merchant, **BY)
    assert Invoice.objects.filter(state=State.UNCERTAIN).update(not_before=clock.now()) == 1
    issue_due(invoice.partition)
    assert Invoice.objects.get().state == State.ISSUED


@pytest.mark.django_db
def test_the_history_shows_who_paused_it_and_why_and_a_repetition_adds_nothing() -> None:
    merchant = cast.seller()
    assert pause(merchant, **BY) and not pause(merchant, **BY)
    assert Merchant.objects.get().paused
    assert [row.history_change_reason for row in merchant.history.all()] == ["paused: stock-taking", None]


@pytest.mark.django_db
def test_a_sale_of_a_paused_merchant_still_opens_its_invoice() -> None:
    merchant = cast.seller()
    pause(merchant, **BY)
    assert cast.waiting(merchant).state == State.WAITING
