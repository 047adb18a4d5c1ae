"""Sellers and invoices that the simulated provider knows."""

from typing import Any

from config import clock
from invoices.documents import read
from invoices.issuing.take import look_ups
from invoices.issuing.wire import wire
from invoices.models import Invoice
from invoices.providers import build
from invoices.providers.simulator import Simulator
from merchants.models import Merchant
from tests import cast


def seller_at(provider: Simulator, **overrides: Any) -> Merchant:
    merchant = cast.seller(url=provider.url, **overrides)
    provider.tenants([cast.tenant(merchant)])
    return merchant


def issue_at_the_provider(invoice: Invoice) -> None:
    (call,) = look_ups([invoice.issuances.get().pk], clock.now())

    async def issue(http: Any) -> Any:
        return await build("viettel", call.account, http).issue(read(invoice.document))

    wire().run(issue)
