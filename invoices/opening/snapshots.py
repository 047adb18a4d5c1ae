"""What an invoice keeps of its merchant's configuration, and how that has changed since."""

from collections.abc import Iterator
from datetime import date
from typing import Any, NamedTuple

from config.base import clock
from invoices.models import Invoice
from merchants.models import Merchant, ProviderAccount


def snapshot(merchant: Merchant, account: ProviderAccount | None) -> dict[str, Any]:
    """The configuration as of now: seller, policy and account. Never credentials, which are read live."""
    return {
        "merchant": {"code": merchant.code, "name": merchant.name},
        "seller": merchant.tax_info.seller,
        "policy": merchant.policy,
        "account": snapshot_account(account) if account else {},
    }


def snapshot_account(account: ProviderAccount) -> dict[str, str]:
    return {"id": str(account.pk), "provider": account.provider, "template": account.template}


class Changed(NamedTuple):
    name: str  # "seller.address"
    then: Any
    now: Any

    @property
    def differs(self) -> bool:
        return self.then != self.now


def compared(invoice: Invoice) -> list[Changed]:
    """Every value of the invoice's snapshot beside what it would take today. Needs merchant and tax data at hand."""
    if not invoice.config_snapshot or not hasattr(invoice.merchant, "tax_info"):
        return []
    account = ProviderAccount.for_year(invoice.merchant, invoice.merchant.tax_info.form, day_of(invoice).year)
    return beside(invoice.config_snapshot, snapshot(invoice.merchant, account))


def day_of(invoice: Invoice) -> date:
    """The day that it would carry if it were drawn up now."""
    now = clock.now()
    return invoice.issue_date if invoice.issue_until > now else clock.day_vn(now)


def beside(then: dict[str, Any], now: dict[str, Any]) -> list[Changed]:
    """Every value of the one tree beside that of the other."""
    old, new = dict(_flat(then)), dict(_flat(now))
    return [Changed(name, old.get(name, ""), new.get(name, "")) for name in old | new]


def _flat(tree: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, list | tuple):
            value = {str(place): item for place, item in enumerate(value, start=1)}
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield above + name, value
