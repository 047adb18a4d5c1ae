"""A restored backup has lost an attempt: the provider has the invoice, and we know of no send."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from config.base import clock
from invoices.dev.simulator import Simulator
from invoices.issuing.documents import parse_document
from invoices.issuing.pump import issue_due
from invoices.lifecycle import State, WrongState
from invoices.models import Invoice
from invoices.operations import adopt as adopting
from invoices.operations.adopt import adopt
from invoices.operations.amend import amend
from invoices.operations.look_up import look_up, look_up_attempts
from invoices.operations.replay import replay
from tests import cast
from tests.invoices.provider_records import issue_at_provider, seller_at

pytestmark = pytest.mark.django_db
WHO = {"actor": "user:7", "reason": "a backup was restored"}
FORGOTTEN = timedelta(days=4)  # the provider keeps keys for three


@pytest.fixture
def lost(provider: Simulator) -> Invoice:
    """FAILED as late, because in our rows it was never sent; the provider has issued it."""
    invoice = cast.failed(seller_at(provider), failure="late")
    issue_at_provider(invoice)
    return Invoice.objects.get(pk=invoice.pk)


def test_an_invoice_without_a_known_attempt_is_adopted_with_its_date_at_the_provider(lost: Invoice) -> None:
    sale_day = lost.issue_date
    with clock.frozen(clock.now() + FORGOTTEN):
        adopted = adopt(lost, **WHO)
    assert (adopted.state, adopted.number, adopted.issue_date) == (State.ISSUED, "1", sale_day)
    assert parse_document(adopted.document).issue_date == sale_day
    lost.refresh_from_db()
    assert (lost.exposed_by, lost.exposed) == (lost.issuances.get().pk, True)


def test_a_key_that_the_provider_may_have_forgotten_is_not_sent_before_a_look_up(
    lost: Invoice, provider: Simulator
) -> None:
    provider.settings(personality="forgetful", window=0)
    with clock.frozen(clock.now() + FORGOTTEN):
        for dry_run in (True, False):
            with pytest.raises(WrongState, match="Look it up first"):
                replay(lost, **WHO, dry_run=dry_run)
        with pytest.raises(WrongState, match="Look it up first"):
            amend(lost, **WHO, buyer=cast.COMPANY)
        looked = look_up(lost, **WHO)
        assert (looked.invoice.state, looked.invoice.failure) == (State.FAILED, "conflict")
        assert replay(looked.invoice, **WHO).state == State.UNCERTAIN
        issue_due(lost.partition)
    lost.refresh_from_db()
    assert (lost.state, lost.number, len(provider.ledger())) == (State.ISSUED, "1", 1)


def test_what_the_provider_does_not_know_is_sent_after_a_look_up(provider: Simulator) -> None:
    invoice = cast.failed(seller_at(provider), failure="late")
    with clock.frozen(clock.now() + FORGOTTEN):
        assert look_up(invoice, **WHO).summary == "the provider does not know it"
        assert replay(invoice, **WHO).state == State.QUEUED
        issue_due(invoice.partition)
    invoice.refresh_from_db()
    assert (invoice.state, invoice.issue_date) == (State.ISSUED, clock.day_vn(clock.now() + FORGOTTEN))
    with clock.frozen(clock.now() + 2 * FORGOTTEN), pytest.raises(WrongState, match="Look it up first"):
        Invoice.objects.filter(pk=invoice.pk).update(state="FAILED", failure="late", exposed_at=None)
        replay(Invoice.objects.get(), **WHO)  # that look-up is too old by now


def test_an_invoice_that_was_dated_again_is_adopted_with_the_provider_s_date(lost: Invoice) -> None:
    sale_day = lost.issue_date
    with clock.frozen(clock.now() + timedelta(days=1)):
        replay(lost, **WHO)
        Invoice.objects.update(state="FAILED", failure="exhausted")
        redated = Invoice.objects.get()
        assert redated.issue_date == sale_day + timedelta(days=1)
        adopted = adopt(redated, **WHO)
    assert (adopted.issue_date, parse_document(adopted.document).issue_date) == (sale_day, sale_day)


def test_another_total_is_not_adopted_and_the_error_names_both(lost: Invoice, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_total(issuances: Any) -> Any:  # Viettel reports no total; another vendor may
        (finished,) = look_up_attempts(issuances)
        return [replace(finished, answer=replace(finished.answer, total=70000))]

    monkeypatch.setattr(adopting, "look_up_attempts", with_total)
    with pytest.raises(WrongState, match="for 70000 đồng, we have 110000"):
        adopt(lost, **WHO)
    assert Invoice.objects.get().state == State.FAILED


def test_a_waiting_or_queued_invoice_cannot_be_looked_up() -> None:
    for invoice in (cast.waiting(), cast.queued()):
        with pytest.raises(WrongState, match="never sent"):
            look_up(invoice, **WHO)
