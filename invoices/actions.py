"""Operator actions on provider accounts that need invoices, which the accounts' own app cannot import."""

from typing import Any

from config.console.actions import OperatorAction, Rejected
from invoices.issuing.parked_accounts import probe_now
from invoices.lifecycle import OWED, State
from invoices.models import Invoice
from merchants.models import ProviderAccount


class Probe(OperatorAction):
    name, label, permissions = "probe", "Probe", ("merchants.probe_provideraccount",)
    description = (
        "Tests the login and the symbol, read-only. An account that is parked for its login reopens if it works."
    )
    uses_network = True

    def disabled_reason(self, row: ProviderAccount) -> str:
        if not row.encrypted_credentials:
            return "it has no login"
        return "" if hasattr(row.merchant, "tax_info") else "its merchant has no tax data"

    def preview(self, row: ProviderAccount, **_: Any) -> str:
        parked = " The account is parked for its login and reopens if that works." if row.parked_for_login else ""
        return f"Tests at {row.base_url} whether the login works and knows {row.form}{row.symbol}.{parked}"

    def perform(self, row: ProviderAccount, *, actor: str, reason: str, **_: Any) -> str:
        problem = probe_now(row)
        return f"it does not work: {problem}" if problem else "the login and the symbol work"


class Remove(OperatorAction):
    name, label, permissions = "remove", "Remove", ("merchants.remove_provideraccount",)
    description = "Nothing new is issued through it. The row, its history and its invoices stay and can be looked up."

    def disabled_reason(self, row: ProviderAccount) -> str:
        return "it is already removed" if row.deleted_at else ""

    def preview(self, row: ProviderAccount, **_: Any) -> str:
        if Invoice.objects.filter(account=row, state__in=OWED).exists():
            raise Rejected("It still owes invoices: let it issue them, or cancel them, before you remove it.")
        if Invoice.objects.filter(account=row, state=State.SUBMITTED).exists():
            raise Rejected("The tax authority has not answered for all of its invoices yet.")
        return "It takes no more invoices. Its login is used only to look up its invoices."

    def perform(self, row: ProviderAccount, *, actor: str, reason: str, **_: Any) -> str:
        self.preview(row)
        row.remove(f"removed: {reason}")
        return "removed"


ACTIONS = {"merchants.ProviderAccount": [Probe, Remove]}
