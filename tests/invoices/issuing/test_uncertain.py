"""Uncertainty always ends, and a replay names the obstacle of an invoice."""

from datetime import timedelta
from typing import Any

import pytest

from config.base import clock
from invoices.dev.simulator import Simulator
from invoices.issuing.calls import FinishedCall
from invoices.issuing.decide.conflicts import fail_as_conflict
from invoices.issuing.final_lookups import run_final_lookups
from invoices.issuing.lookups import build_lookups
from invoices.issuing.record import record
from invoices.lifecycle import State, WrongState
from invoices.models import Invoice, Partition
from invoices.moving import move_one
from invoices.operations.amend import amend
from invoices.operations.cancel import cancel
from invoices.operations.replay import replay
from invoices.operations.skip import skip
from merchants.models import ProviderAccount
from tests import cast
from tests.invoices.provider_records import seller_at

pytestmark = pytest.mark.django_db
WHO: dict[str, Any] = {"actor": "user:7", "reason": "the buyer called"}


def proven_absent(invoice: Invoice, begin: Any, *, after: tuple[int, ...] = (5, 10)) -> Invoice:
    """Looked up after each of these minutes, and not found."""
    for minutes in after:
        with clock.frozen(begin + timedelta(minutes=minutes)):
            (call,) = build_lookups([invoice.issuances.get().pk], clock.now())
            record([FinishedCall(call, None, clock.now())])
    return Invoice.objects.get(pk=invoice.pk)


@pytest.mark.parametrize("days", [2, 4])  # while the provider keeps the key, and afterwards
def test_a_final_look_up_that_was_made_while_exposed_is_made_again(provider: Simulator, days: int) -> None:
    invoice = skip(cast.uncertain(merchant=seller_at(provider)), **WHO)
    begin = clock.now()
    with clock.frozen(begin + timedelta(days=1, hours=1)):
        assert run_final_lookups() == 1
    invoice.refresh_from_db()
    assert (invoice.exposed, invoice.final_lookup_at) == (True, None)
    later = begin + timedelta(days=days)
    with clock.frozen(later):
        replay(invoice, **WHO)
    invoice = proven_absent(invoice, later, after=(5,))  # the final look-up counted as the first
    assert (invoice.exposed, invoice.first_uncertain_at is not None) == (False, True)
    with clock.frozen(later + timedelta(hours=1)):
        if invoice.state == State.QUEUED:
            skip(invoice, **WHO)
        assert run_final_lookups() == 1
        invoice.refresh_from_db()
        assert (invoice.first_uncertain_at, invoice.final_lookup_at) == (None, None)
        assert cancel(invoice, **WHO).state == State.CANCELLED


def test_a_conflict_whose_other_invoice_was_cancelled_can_be_ended(provider: Simulator) -> None:
    invoice = cast.uncertain(merchant=seller_at(provider))
    begin = clock.now()
    move_one(invoice, lambda row: fail_as_conflict(row, "the provider's differs"), actor="worker")
    replay(Invoice.objects.get(), **WHO)
    invoice = proven_absent(invoice, begin)
    assert invoice.state == State.QUEUED
    invoice = skip(invoice, **WHO)
    with pytest.raises(WrongState, match=r"after the final look-up at \d{4}"):
        cancel(invoice, **WHO)
    with clock.frozen(begin + timedelta(days=1, hours=1)):
        assert run_final_lookups() == 1
        assert cancel(Invoice.objects.get(), **WHO).state == State.CANCELLED


@pytest.mark.parametrize("closed", [{"is_active": False}, {"deleted_at": clock.now()}])
def test_nothing_is_queued_for_a_closed_account(closed: dict[str, Any]) -> None:
    invoice = cast.failed(failure="late")
    ProviderAccount.objects.update(**closed)
    for dry_run in (True, False):
        with pytest.raises(WrongState, match="is closed. Refresh its configuration first"):
            replay(Invoice.objects.get(pk=invoice.pk), **WHO, dry_run=dry_run)
        with pytest.raises(WrongState, match="is closed. Refresh its configuration first"):
            amend(Invoice.objects.get(pk=invoice.pk), **WHO, buyer=cast.COMPANY, dry_run=dry_run)


@pytest.mark.parametrize(
    ("held", "why"),
    [
        ({"is_active": False}, "its account is closed: skip it"),
        ({"paused": True}, "its account is paused"),
        ({"merchant": True}, "its merchant is paused"),
        ({"partition": True}, "is paused"),
        ({"parked_until": clock.now(), "parked_for_login": True}, "the provider refuses the login"),
        ({"parked_until": clock.now() + timedelta(days=1)}, "its account is parked until"),
        ({}, "a worker is woken"),
    ],
)
def test_a_replay_says_what_holds_up_a_due_invoice(held: dict[str, Any], why: str) -> None:
    invoice = cast.queued()
    if "merchant" in held:
        type(invoice.merchant).objects.update(paused=True)
    elif "partition" in held:
        Partition.objects.update_or_create(number=invoice.partition, defaults={"paused": True})
    elif held:
        ProviderAccount.objects.update(**held)
    result = replay(Invoice.objects.get(), **WHO)
    assert (result.acted, result.state) == (True, State.QUEUED) and why in result.why, result.why
