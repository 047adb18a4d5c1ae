"""Our books against the provider's, for a day."""

import json
from typing import Any

import pytest
from django.core.management import call_command

from config import clock
from invoices.issuing import issue_due
from invoices.models import Invoice
from invoices.providers.simulator import Simulator
from invoices.reconcile import reconcile
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def merchant(provider: Simulator) -> Any:
    merchant = cast.seller(url=provider.url)
    provider.tenants([cast.tenant(merchant)])
    for _ in range(3):
        cast.queued(merchant)
    for partition in range(3):
        issue_due(partition)
    return merchant


def kinds() -> list[str]:
    return [difference.kind for difference in reconcile(clock.today_vn()).differences]


def test_books_that_agree_say_so(merchant: Any, capsys: Any) -> None:
    result = reconcile(clock.today_vn())
    assert (result.agrees, result.ours, result.theirs, result.accounts) == (True, 3, 3, 1)
    call_command("reconcile", "--date", f"{clock.today_vn()}", "--json")
    assert json.loads(capsys.readouterr().out)["agrees"] is True


def test_more_than_a_page_of_invoices_is_read_whole(merchant: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("invoices.providers.viettel.adapter.PAGE", 2)
    assert reconcile(clock.today_vn()).theirs == 3


def test_an_invoice_that_only_we_have_is_named(merchant: Any) -> None:
    invoice = cast.issued(merchant, number="999")
    (difference,) = reconcile(clock.today_vn()).differences
    assert difference.kind == "only_ours"
    assert invoice.order_id in difference.what and "999" in difference.what


def test_another_total_is_named_with_both(merchant: Any) -> None:
    Invoice.objects.filter(number="2").update(total=5)
    (difference,) = reconcile(clock.today_vn()).differences
    assert difference.kind == "total" and "5 đồng" in difference.what and "110000" in difference.what


def test_an_invoice_that_only_they_have_is_told_apart_from_one_that_is_not_of_our_making(
    merchant: Any, provider: Simulator
) -> None:
    lost = Invoice.objects.get(number="1")
    Invoice.objects.filter(pk=lost.pk).update(state="FAILED", number="", failure="exhausted")
    assert kinds() == ["only_theirs"]
    Invoice.objects.filter(pk=lost.pk).update(reference="00000000-0000-4000-8000-000000000000")
    assert kinds() == ["foreign"]


def test_a_list_that_cannot_be_read_is_a_difference_never_silence(
    merchant: Any, provider: Simulator, capsys: Any
) -> None:
    provider.faults("5xx-before", endpoint="list")
    with pytest.raises(SystemExit) as left:
        call_command("reconcile", "--date", f"{clock.today_vn()}")
    assert left.value.code == 1
    assert "could not be read" in capsys.readouterr().out
