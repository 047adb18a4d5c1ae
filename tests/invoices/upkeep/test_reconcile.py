"""Our invoices of a day compared with the provider's list."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config.base import clock
from invoices.dev.simulator import Simulator
from invoices.issuing.pump import issue_due
from invoices.models import Invoice, InvoiceIssuance
from invoices.upkeep.reconcile import reconcile, reconcile_yesterday
from merchants.models import ProviderAccount, TaxInfo
from tests import cast
from tests.invoices.api.test_lists import many
from tests.invoices.provider_records import issue_at_provider, seller_at

pytestmark = pytest.mark.django_db


@pytest.fixture
def merchant(provider: Simulator) -> Any:
    merchant = cast.seller(url=provider.url)
    provider.add_tenants([cast.tenant(merchant)])
    for _ in range(3):
        cast.queued(merchant)
    for partition in range(3):
        issue_due(partition)
    return merchant


def kinds() -> list[str]:
    return [difference.kind for difference in reconcile(clock.today_vn()).differences]


def test_equal_lists_agree(merchant: Any, capsys: Any) -> None:
    result = reconcile(clock.today_vn())
    assert (result.agrees, result.ours, result.theirs, result.accounts) == (True, 3, 3, 1)
    call_command("reconcile", "--date", f"{clock.today_vn()}", "--json")
    assert json.loads(capsys.readouterr().out)["agrees"] is True


def test_all_pages_of_a_list_are_read(merchant: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("invoices.providers.viettel.adapter.PAGE", 2)
    assert reconcile(clock.today_vn()).theirs == 3


def test_an_invoice_that_only_we_have_is_named(merchant: Any) -> None:
    invoice = cast.issued(merchant, number="999")
    (difference,) = reconcile(clock.today_vn()).differences
    assert difference.kind == "only_ours"
    assert invoice.order_id in difference.what and "999" in difference.what


def test_a_different_total_is_named_with_both_amounts(merchant: Any) -> None:
    Invoice.objects.filter(number="2").update(total=5)
    (difference,) = reconcile(clock.today_vn()).differences
    assert difference.kind == "total" and "5 đồng" in difference.what and "110000" in difference.what


def test_only_theirs_and_foreign_numbers_are_distinguished(merchant: Any, provider: Simulator) -> None:
    lost = Invoice.objects.get(number="1")
    Invoice.objects.filter(pk=lost.pk).update(state="FAILED", number="", failure="exhausted")
    assert kinds() == ["only_theirs"]
    for model in (Invoice, InvoiceIssuance):
        of = {"pk": lost.pk} if model is Invoice else {"invoice": lost}
        model.objects.filter(**of).update(reference="00000000-0000-4000-8000-000000000000")
    assert kinds() == ["foreign"]


def test_an_invoice_without_a_recorded_attempt_is_recognised_by_its_reference(provider: Simulator) -> None:
    invoice = cast.failed(seller_at(provider), failure="late")
    issue_at_provider(invoice)  # by an attempt that a restored backup lost
    (difference,) = reconcile(clock.today_vn()).differences
    assert difference.kind == "only_theirs" and f"order {invoice.order_id}, here FAILED" in difference.what


def test_an_account_that_cannot_be_compared_does_not_stop_the_others(provider: Simulator, caplog: Any) -> None:
    sealed_otherwise = cast.seller().accounts.get()
    ProviderAccount.objects.filter(pk=sealed_otherwise.pk).update(encrypted_credentials="nonsense")
    issue_at_provider(cast.failed(seller_at(provider), failure="late"))
    with clock.frozen(clock.now() + timedelta(days=1)):
        differences = reconcile(clock.today_vn() - timedelta(days=1)).differences
        assert [difference.kind for difference in differences] == ["unread", "only_theirs"]
        assert (differences[0].account, "no_login" in differences[0].what) == (f"{sealed_otherwise}", True)
        reconcile_yesterday()
    assert "kind=unread" in caplog.text and "kind=only_theirs" in caplog.text


def test_an_account_removed_since_that_day_is_still_compared(merchant: Any) -> None:
    account = merchant.accounts.get()
    account.remove("sold")
    assert reconcile(clock.today_vn()).ours == 3
    ProviderAccount.objects.update(deleted_at=clock.now() - timedelta(days=2))
    assert reconcile(clock.today_vn()).accounts == 0


def test_the_list_is_fetched_under_the_tax_code_of_that_day(merchant: Any) -> None:
    TaxInfo.objects.update(tax_code="0100109106")
    result = reconcile(clock.today_vn())
    assert (result.differences, result.theirs) == ([], 3)


def test_no_query_reads_the_history_of_an_account(provider: Simulator) -> None:
    merchant = seller_at(provider)
    issue_at_provider(cast.failed(merchant, failure="late"))
    sent = cast.sending(merchant)
    many(cast.waiting(merchant), 10_000)
    like = [f'"{field.column}"' for field in InvoiceIssuance._meta.concrete_fields]
    own = {'"id"': "id + n", '"reference"': "gen_random_uuid()"}
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO invoices_invoiceissuance ({', '.join(like)}) SELECT {', '.join(own.get(c, c) for c in like)} "
            f"FROM invoices_invoiceissuance, generate_series(1, 10000) AS n WHERE invoice_id = {sent.pk}"
        )
        cursor.execute("ANALYZE invoices_invoiceissuance")
    with CaptureQueriesContext(connection) as seen:
        assert kinds() == ["only_theirs"]
    selects = [query["sql"] for query in seen if 'FROM "invoices_' in query["sql"]]
    wanted = ("by_issue_date", "issuances_by_reference", "unnumbered_by_reference")
    for select, index in zip(selects, wanted, strict=True):
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {select}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
        assert index in plan and "Seq Scan on invoices" not in plan, plan


def test_a_list_that_cannot_be_read_is_a_difference(merchant: Any, provider: Simulator, capsys: Any) -> None:
    provider.add_fault("5xx-before", endpoint="list")
    with pytest.raises(SystemExit) as left:
        call_command("reconcile", "--date", f"{clock.today_vn()}")
    assert left.value.code == 1
    assert "could not be read" in capsys.readouterr().out
