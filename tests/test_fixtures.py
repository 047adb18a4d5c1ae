"""The seeds and the demo's fixture: they load, load again without change, and follow the rules."""

from collections.abc import Iterator
from datetime import date, datetime, time
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import connection, transaction

from config.base import clock
from config.models import Configuration
from config.processes.run_modes import SEEDS
from invoices.lifecycle import State
from invoices.models import LegalRules
from invoices.opening.conclude import apply_facts
from invoices.opening.facts import parse_payment
from merchants import tax_codes
from merchants.models import Merchant, ProviderAccount, TaxInfo
from tests import cast
from webhooks.models import WebhookEndpoint

pytestmark = pytest.mark.django_db
TABLES = (
    "config_configuration",
    "config_historicalconfiguration",
    "merchants_administrativeunit",
    "merchants_merchant",
    "merchants_historicalmerchant",
    "merchants_taxinfo",
    "merchants_historicaltaxinfo",
    "merchants_provideraccount",
    "merchants_historicalprovideraccount",
    "webhooks_webhookendpoint",
    "webhooks_historicalwebhookendpoint",
    "invoices_legalrules",
    "auth_group",
)


def load(*names: str) -> None:
    call_command("loaddata", *names, verbosity=0)


def dump() -> dict[str, Any]:
    tables = {}
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"SELECT * FROM {table} ORDER BY 1")
            tables[table] = cursor.fetchall()
        cursor.execute("SELECT group_id, permission_id FROM auth_group_permissions ORDER BY 1, 2")
        tables["permissions"] = cursor.fetchall()
    return tables


@pytest.fixture(scope="module")
def loaded(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Load them once for this module, in a transaction around that of each test."""
    around: Any = transaction.atomic()
    around._from_testcase = True  # as Django's own tests mark theirs
    with django_db_blocker.unblock(), around:
        load(*SEEDS, "demo")
        yield
        transaction.set_rollback(True)


@pytest.fixture
def demo(loaded: None, db: None) -> None:
    """The seeds and the demo's merchants."""


def add_logins() -> None:
    for account in ProviderAccount.objects.select_related("merchant__tax_info"):
        account.set_credentials({"username": account.merchant.tax_info.tax_code, "password": "pass"})
        account.save()


def rules(day: str) -> LegalRules:
    return LegalRules.on(date.fromisoformat(day))


def test_loading_twice_changes_nothing_and_writes_no_history(demo):
    before = dump()
    load(*SEEDS, "demo")
    assert dump() == before
    assert all(not rows for table, rows in before.items() if "historical" in table)


def test_loading_again_keeps_operators_changes_and_restores_the_legal_rules(demo):
    Configuration.objects.update(value="Closed on Sunday")
    WebhookEndpoint.objects.update(url="https://shop.example/hooks", disabled_reason="", deleted_at=clock.now())
    LegalRules.objects.update(claim_window=1)
    load(*SEEDS)
    assert Configuration.objects.get().value == "Closed on Sunday"
    assert WebhookEndpoint.objects.filter(url="https://shop.example/hooks", disabled_reason="").exclude(deleted_at=None)
    assert {row.claim_window for row in LegalRules.objects.all()} == {120}


def test_eight_percent_ends_with_2026():
    assert "8%" in rules("2026-12-31").vat_rates
    assert "8%" not in rules("2027-01-01").vat_rates
    assert "10%" in rules("2027-01-01").vat_rates


def test_from_july_2026_there_are_ten_letters_and_nine_forms():
    assert (rules("2026-06-30").symbol_letters, rules("2026-06-30").forms) == ("TDLMNBGHX", "123456")
    assert (rules("2026-07-01").symbol_letters, rules("2026-07-01").forms) == ("TDLMNBGHXF", "123456789")
    assert rules("2026-07-01").consumer_text == "Bán cho người tiêu dùng"


def test_days_before_the_first_row_have_no_legal_rules():
    with pytest.raises(LookupError):
        rules("2025-05-31")


def test_every_row_of_the_legal_rules_closes_claims_before_midnight():
    for row in LegalRules.objects.all():
        assert (row.claim_window, row.claims_close, row.at_once_from) == (120, time(23, 55), time(22))


def test_the_groups_may_do_what_their_names_say(demo):
    may = {g.name: set(g.permissions.values_list("codename", flat=True)) for g in Group.objects.all()}
    assert set(may) == {"support", "operator", "finance", "security"}
    assert {name for name in may["support"] if not name.startswith("view_")} == {"look_up_invoice"}
    assert "replay_invoice" in may["operator"] and "view_configuration" not in may["operator"]
    assert not [name for name in may["operator"] if name.startswith(("change_", "add_"))], (
        "operators perform actions, with a reason"
    )
    assert may["finance"] == {"view_invoice", "view_invoiceissuance", "view_invoicefile"}
    assert {"change_provideraccount", "change_configuration", "change_webhookendpoint"} <= may["security"]
    assert not [name for names in may.values() for name in names if name.startswith("delete_")]


def test_the_seeds_contain_no_secret_and_no_enabled_endpoint(demo):
    assert not Configuration.objects.filter(is_secret=True).exists()
    assert not ProviderAccount.objects.exclude(encrypted_credentials="").exists()
    assert not WebhookEndpoint.objects.filter(disabled_reason="").exists()


def test_the_demo_merchants_have_valid_and_distinct_tax_codes(demo):
    codes = list(TaxInfo.objects.values_list("tax_code", flat=True))
    assert [tax_codes.check(code) for code in codes] == codes
    assert len(set(codes)) == len(codes) >= 8
    assert {len(code) for code in codes} == {10, 12, 14}


def test_the_demo_merchants_have_addresses_in_existing_communes(demo):
    for info in TaxInfo.objects.select_related("commune__parent"):
        assert info.commune.level == "commune"
        assert str(info.commune) in info.seller["address"]


def test_the_demo_accounts_have_valid_symbols_for_this_year_and_the_next(demo):
    for merchant in Merchant.objects.select_related("tax_info").prefetch_related("accounts"):
        accounts = list(merchant.accounts.all())
        assert {account.year for account in accounts} == {2026, 2027}
        for account in accounts:
            account.full_clean(exclude=["encrypted_credentials"])
            legal = rules(f"{account.year}-12-01")
            assert account.form == merchant.tax_info.form and account.form in legal.forms
            assert account.symbol[3] in legal.symbol_letters
            assert account.template == f"{account.form}/001"


def test_the_household_sells_on_form_2_from_a_cash_register(demo):
    info = TaxInfo.objects.get(merchant__code="pho-suong-som")
    assert (info.form, len(info.tax_code)) == ("2", 12)
    assert info.merchant.accounts.get(symbol="C26MPH").form == "2"


@pytest.mark.parametrize(
    ("code", "state"),
    [("cafe-may-chieu", State.WAITING), ("bakery-lo-am", State.QUEUED), ("canteen-hat-gao", State.WAITING)],
)
def test_a_merchants_policy_decides_the_first_state_of_a_sale(demo, code, state):
    add_logins()
    with clock.frozen(datetime(2026, 11, 23, 10, tzinfo=clock.VIETNAM)):
        assert apply_facts(*parse_payment(cast.payment(code)), actor="test").invoice.state == state


def test_an_unclaimed_sale_of_the_canteen_lapses(demo):
    add_logins()
    with clock.frozen(datetime(2026, 11, 23, 12, tzinfo=clock.VIETNAM)):
        sale = cast.payment("canteen-hat-gao", paidAt="2026-11-23T09:00:00+07:00")
        assert apply_facts(*parse_payment(sale), actor="test").invoice.state == State.EXPIRED


def test_in_the_new_year_the_next_symbol_is_used(demo):
    add_logins()
    with clock.frozen(datetime(2027, 1, 1, 8, tzinfo=clock.VIETNAM)):
        lines = [{"name": "Bàn phím cơ", "quantity": 1, "unitPrice": 110000, "vatRate": "10%"}]
        invoice = apply_facts(*parse_payment(cast.payment("electronics-den-xanh", lines=lines)), actor="test").invoice
    assert invoice.symbol == "C27TDX"


def test_dumpdata_writes_the_codes_of_the_demo_merchants(demo):
    out = StringIO()
    call_command("dumpdata", "merchants.merchant", stdout=out)
    assert '"code": "mart-bon-mua"' in out.getvalue()
