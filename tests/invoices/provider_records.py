"""Sellers and invoices that the simulated provider knows."""

from typing import Any

from invoices.dev.simulator import Simulator
from invoices.issuing import wire
from invoices.issuing.calls import build_account
from invoices.issuing.documents import parse_document, render_document
from invoices.models import Invoice
from invoices.providers import build_provider
from merchants.models import Merchant
from tests import cast


def seller_at(provider: Simulator, **overrides: Any) -> Merchant:
    merchant = cast.seller(url=provider.url, **overrides)
    provider.add_tenants([cast.tenant(merchant)])
    return merchant


def issue_at_provider(invoice: Invoice) -> None:
    """Issue it at the simulated provider only: our database does not record it."""
    row = invoice.account
    assert row
    account = build_account(row, invoice.seller_tax_code, invoice.form, invoice.symbol, row.template)
    document = parse_document(invoice.document or render_document(invoice))

    async def issue(http: Any) -> Any:
        return await build_provider("viettel", account, http).issue(document)

    wire.http_loop.run(issue)
