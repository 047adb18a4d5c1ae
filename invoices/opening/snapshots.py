"""An invoice's copy of its merchant's configuration, and the changes since."""

from collections.abc import Iterator
from datetime import date
from typing import Any, NamedTuple

from config.base import clock
from invoices.models import Invoice
from merchants.models import Merchant, ProviderAccount


def snapshot_configuration(merchant: Merchant, account: ProviderAccount | None) -> dict[str, Any]:
    """Today's seller, policy and account. Never credentials, which are read live."""
    return {
        "merchant": {"code": merchant.code, "name": merchant.name},
        "seller": merchant.tax_info.seller,
        "policy": merchant.policy,
        "account": snapshot_account(account) if account else {},
    }


def snapshot_account(account: ProviderAccount) -> dict[str, str]:
    return {"id": str(account.pk), "provider": account.provider, "template": account.template}


class ComparedValue(NamedTuple):
    name: str  # "seller.address"
    then: Any
    now: Any

    @property
    def differs(self) -> bool:
        return self.then != self.now


def compare_to_today(invoice: Invoice) -> list[ComparedValue]:
    """Every value of the invoice's snapshot, and of one taken now. Needs merchant and tax_info prefetched."""
    if not invoice.config_snapshot or not hasattr(invoice.merchant, "tax_info"):
        return []
    account = ProviderAccount.for_year(invoice.merchant, invoice.merchant.tax_info.form, issue_day_now(invoice).year)
    return compare_trees(invoice.config_snapshot, snapshot_configuration(invoice.merchant, account))


def issue_day_now(invoice: Invoice) -> date:
    """The issue date that the invoice would carry if it were rendered now."""
    now = clock.now()
    return invoice.issue_date if invoice.issue_until > now else clock.day_vn(now)


def compare_trees(then: dict[str, Any], now: dict[str, Any]) -> list[ComparedValue]:
    """Every leaf of either tree, with its value in both."""
    old, new = dict(_leaves(then)), dict(_leaves(now))
    return [ComparedValue(name, old.get(name, ""), new.get(name, "")) for name in old | new]


def _leaves(tree: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, list | tuple):
            value = {str(number): item for number, item in enumerate(value, start=1)}
        if isinstance(value, dict):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield above + name, value
