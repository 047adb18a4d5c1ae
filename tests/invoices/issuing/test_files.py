"""PDF and XML are fetched after the issue, and mailed to a buyer who left an address."""

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail

from config.base import clock
from invoices.dev.simulator import Simulator
from invoices.issuing.files import fetch_files
from invoices.issuing.pump import issue_due
from invoices.lifecycle import State
from invoices.models import Invoice, InvoiceFile
from tests import cast

pytestmark = pytest.mark.django_db


def issued_at(provider: Simulator, buyer: Any = cast.COMPANY, **overrides: Any) -> Invoice:
    merchant = cast.seller(url=provider.url, **overrides)
    provider.add_tenants([cast.tenant(merchant)])
    invoice = cast.queued(merchant, buyer=buyer)
    issue_due(invoice.partition)
    return Invoice.objects.get(pk=invoice.pk)


def test_both_files_are_stored_with_their_hashes_and_mailed_to_the_buyer(provider: Simulator, media: Any) -> None:
    invoice = issued_at(provider)
    assert fetch_files() == 1
    invoice.refresh_from_db()
    assert invoice.files_due is None
    for row in InvoiceFile.objects.all():
        content = row.file.read()
        assert (row.sha256, row.size) == (hashlib.sha256(content).hexdigest(), len(content))
        assert content.startswith(b"%PDF" if row.kind == "pdf" else b"<?xml")
    (message,) = mail.outbox
    assert message.to == [cast.COMPANY["email"]]
    assert invoice.number in message.subject and invoice.code in message.body
    assert [name.rsplit(".")[-1] for name, _, _ in message.attachments] == ["pdf", "xml"]


def test_a_file_that_is_not_ready_leaves_the_invoice_issued_and_is_fetched_later(
    provider: Simulator, media: Any
) -> None:
    provider.add_fault("file-not-ready", count=1)
    invoice = issued_at(provider)
    assert fetch_files() == 0
    invoice.refresh_from_db()
    assert invoice.state == State.ISSUED and invoice.files_due and invoice.files_due > clock.now()
    assert fetch_files() == 0
    with clock.frozen(clock.now() + timedelta(minutes=1)):
        assert fetch_files() == 1
    assert InvoiceFile.objects.count() == 2


@pytest.mark.parametrize(
    ("buyer", "overrides"), [(None, {}), (cast.PERSON, {}), (cast.COMPANY, {"mails_buyer": False})]
)
def test_no_mail_is_sent_without_an_address_or_if_the_merchant_does_not_want_it(
    provider: Simulator, media: Any, buyer: Any, overrides: Any
) -> None:
    issued_at(provider, buyer, **overrides)
    assert fetch_files() == 1
    assert mail.outbox == []
