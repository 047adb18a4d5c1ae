"""`inspect_invoice`: everything about one order, with the buyer's personal data masked."""

import json

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from config.base import clock
from invoices.models import InvoiceIssuance
from invoices.opening.conclude import apply_facts
from invoices.opening.facts import parse_payment as payment_fact
from invoices.opening.facts import parse_request as request_fact
from tests import cast

pytestmark = pytest.mark.django_db


def shown(capsys, *args: str) -> str:
    call_command("inspect_invoice", *args)
    return capsys.readouterr().out


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")


def test_it_shows_the_invoice_its_attempts_and_its_audit(capsys):
    invoice = cast.issued(number="42")
    output = shown(capsys, invoice.order_id)
    for word in ("ISSUED", "C26TAA-42", "110.000", "Attempts at the provider", "Audit", "QUEUED → SENDING"):
        assert word in output


def test_json_is_json_and_nothing_else(capsys):
    invoice = cast.issued()
    (document,) = json.loads(shown(capsys, invoice.order_id, "--json"))
    assert document["invoice"]["id"] == str(invoice.pk)
    assert document["invoice"]["total"] == 110000
    assert [row["seq"] for row in document["audit"]] == list(range(1, invoice.audit_seq + 1))
    assert document["issuances"][0]["outcome"] == "issued"


@pytest.mark.parametrize("how", [(), ("--json",)])
@pytest.mark.parametrize("buyer", [cast.PERSON, {**cast.COMPANY, "phone": "0901234567"}])
def test_of_a_buyer_only_a_companys_tax_code_is_shown(capsys, buyer, how):
    sale = cast.payment(cast.seller(), buyer=buyer)
    apply_facts(*payment_fact(sale), actor="test")
    apply_facts(request_fact(cast.request(sale, buyer=buyer)), actor="test")
    output = shown(capsys, sale["orderId"], *how)
    assert buyer["kind"] in output
    for field, value in buyer.items():
        assert (value in output) == (field in ("kind", "taxCode")), field


def test_an_order_id_of_two_merchants_is_an_error_that_lists_both(capsys):
    one, other = cast.seller(), cast.seller()
    cast.waiting(one, orderId="same")
    cast.waiting(other, orderId="same")
    with pytest.raises(CommandError) as error:
        shown(capsys, "same")
    assert error.value.returncode == 1
    assert one.code in str(error.value) and other.code in str(error.value)
    assert capsys.readouterr().out == ""
    assert one.code in shown(capsys, "same", "--merchant", one.code)


def test_an_unknown_order_is_an_error(capsys):
    with pytest.raises(CommandError, match="Order nowhere is unknown"):
        shown(capsys, "nowhere")


def test_the_error_for_a_parked_payment_says_why_it_has_no_invoice(capsys):
    apply_facts(*payment_fact(cast.payment("a-merchant-to-come", orderId="early")), actor="test")
    with pytest.raises(CommandError, match="has no invoice yet.*\n.*the merchant is unknown"):
        shown(capsys, "early")


def test_brackets_in_a_vendors_message_are_printed_unchanged(capsys):
    invoice = cast.sending()
    InvoiceIssuance.objects.filter(invoice=invoice).update(message="[bold]no[/bold]", ended_at=clock.now())
    assert "[bold]no[/bold]" in shown(capsys, invoice.order_id)
