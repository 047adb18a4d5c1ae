"""Issue now, cancel, skip and refresh configuration."""

from typing import Any

import pytest

from config.base import clock
from invoices.lifecycle import State, WrongState
from invoices.models import Invoice
from invoices.operations.cancel import cancel
from invoices.operations.issue_now import issue_now
from invoices.operations.refresh_configuration import refresh_configuration
from invoices.operations.skip import skip
from merchants.models import TaxInfo
from tests import cast

pytestmark = pytest.mark.django_db
WHO = {"actor": "user:7", "reason": "the buyer called"}


def test_an_operator_issues_a_waiting_invoice_now() -> None:
    invoice = cast.waiting()
    assert issue_now(invoice, **WHO, dry_run=True).state == State.QUEUED
    assert Invoice.objects.get().state == State.WAITING
    queued = issue_now(invoice, **WHO)
    assert (queued.state, queued.not_before <= clock.now()) == (State.QUEUED, True)
    with pytest.raises(WrongState, match="not waiting"):
        issue_now(invoice, **WHO)


@pytest.mark.parametrize("builder", [cast.waiting, cast.queued, cast.failed])
def test_an_operator_cancels_what_no_provider_can_know(builder: Any) -> None:
    invoice = builder()
    assert cancel(invoice, **WHO).state == State.CANCELLED
    last = invoice.tracings.last()
    assert last and (last.event_type, last.actor, last.reason) == ("cancelled", "user:7", "the buyer called")


def test_nothing_is_cancelled_that_a_provider_may_know_nor_before_the_final_look_up() -> None:
    for invoice in (cast.sending(), cast.uncertain(), cast.issued()):
        with pytest.raises(WrongState, match="cannot be cancelled any more"):
            cancel(invoice, **WHO)
    with pytest.raises(WrongState, match="may be known"):
        cancel(skip(cast.uncertain(), **WHO), **WHO)
    uncertain = cast.failed()
    Invoice.objects.filter(pk=uncertain.pk).update(first_uncertain_at=clock.now(), final_lookup_at=clock.now())
    with pytest.raises(WrongState, match="final look-up"):
        cancel(Invoice.objects.get(pk=uncertain.pk), **WHO)


def test_a_skipped_invoice_fails_and_an_issued_one_cannot_be_skipped() -> None:
    stuck = cast.uncertain()
    assert skip(stuck, **WHO).failure == "skipped"
    with pytest.raises(WrongState):
        skip(cast.issued(), **WHO)


def test_a_failed_invoice_gets_todays_configuration_and_the_audit_names_what_changed() -> None:
    invoice = cast.failed(failure="account")
    info = invoice.merchant.tax_info
    with pytest.raises(WrongState, match="already has today's configuration"):
        refresh_configuration(invoice, **WHO)
    info.address = "9 Hàng Bài"
    info.save()
    account = cast.account(invoice.merchant, symbol="C26TBB")
    invoice = Invoice.objects.get()
    previewed = refresh_configuration(invoice, **WHO, dry_run=True)
    assert (previewed.symbol, Invoice.objects.get().symbol) == ("C26TBB", "C26TAA")
    taken = refresh_configuration(invoice, **WHO)
    assert (taken.state, taken.failure, taken.account_id) == (State.FAILED, "account", account.pk)
    assert (taken.symbol, taken.document) == ("C26TBB", "")
    assert taken.config_snapshot["seller"]["address"] == "9 Hàng Bài"
    last = invoice.tracings.last()
    assert last and last.reason == "the buyer called (new: seller.address, account.id)"
    assert "Hàng Bài" not in last.record


def test_a_merchant_that_changed_to_sales_invoices_is_billed_without_vat() -> None:
    invoice = cast.failed()
    TaxInfo.objects.update(method=TaxInfo.Method.DIRECT)
    with pytest.raises(WrongState, match="no account of form 2"):
        refresh_configuration(Invoice.objects.get(), **WHO)
    cast.account(invoice.merchant, form="2", symbol="C26MPH")
    taken = refresh_configuration(Invoice.objects.get(), **WHO)
    assert (taken.form, taken.symbol, taken.total, taken.vat) == ("2", "C26MPH", 110000, 0)


def test_only_a_failed_invoice_that_no_provider_knows_gets_a_new_configuration() -> None:
    with pytest.raises(WrongState, match="Only a failed invoice"):
        refresh_configuration(cast.queued(), **WHO)
    with pytest.raises(WrongState, match="may be known"):
        refresh_configuration(skip(cast.uncertain(), **WHO), **WHO)
