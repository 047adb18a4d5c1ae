"""Operator actions on provider accounts that need invoices. The accounts' own app is below and cannot import them."""

from typing import Any

from config.console.actions import Act, Declined
from invoices.issuing.parked_accounts import probe_now
from invoices.lifecycle import OWED, State
from invoices.models import Invoice
from merchants.models import ProviderAccount


class Probe(Act):
    name, label, permissions = "probe", "Probe", ("merchants.probe_provideraccount",)
    about = "Try the login and the symbol at the provider, reading only. An account parked for its login reopens."
    networked = True

    def hindered(self, row: ProviderAccount) -> str:
        if not row.sealed_credentials:
            return "it has no login"
        return "" if hasattr(row.merchant, "tax_info") else "its merchant has no tax data"

    def foresee(self, row: ProviderAccount, **_: Any) -> str:
        parked = " It is parked for its login: if that works, it is open again." if row.parked_for_login else ""
        return f"{row.base_url} is asked whether this login works and knows {row.form}{row.symbol}.{parked}"

    def do(self, row: ProviderAccount, *, actor: str, reason: str, **_: Any) -> str:
        problem = probe_now(row)
        return f"it does not work: {problem}" if problem else "the login and the symbol work"


class Remove(Act):
    name, label, permissions = "remove", "Remove", ("merchants.remove_provideraccount",)
    about = "Nothing new is issued through it. The row, its history and its invoices stay, and can be looked up."

    def hindered(self, row: ProviderAccount) -> str:
        return "it is removed" if row.deleted_at else ""

    def foresee(self, row: ProviderAccount, **_: Any) -> str:
        if Invoice.objects.filter(account=row, state__in=OWED).exists():
            raise Declined("It still owes invoices: let it issue them, or cancel them, before it goes.")
        if Invoice.objects.filter(account=row, state=State.SUBMITTED).exists():
            raise Declined("The tax authority has not answered for all of its invoices yet.")
        return "It takes no more invoices, and its login is not used any more but to look up what it has issued."

    def do(self, row: ProviderAccount, *, actor: str, reason: str, **_: Any) -> str:
        self.foresee(row)
        row.remove(f"removed: {reason}")
        return "removed"


ACTIONS = {"merchants.ProviderAccount": [Probe, Remove]}
