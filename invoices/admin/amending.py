"""Amend: the buyer and the lines as a form. What is left as it was is not amended."""

from typing import Any

from django import forms
from django.utils.safestring import SafeString

from config.acts import Why
from invoices.admin.acts import SEES_BUYERS, OnInvoice, becomes
from invoices.admin.columns import dong
from invoices.admin.payloads import compared_payloads
from invoices.amend import amend
from invoices.buyers import FIELDS, KINDS, LENGTHS
from invoices.lifecycle import State
from invoices.models import Invoice

LABELS = {
    "kind": "Buyer",
    "legalName": "Legal name",
    "taxCode": "Tax code",
    "personalId": "Personal id",
    "budgetCode": "Budget code",
    "email": "E-mail",
}
RATES = ("0%", "5%", "8%", "10%", "KCT", "KKKNT")


class Line(forms.Form):
    """As the contract's payment tells it."""

    name = forms.CharField(max_length=500, label="Goods or service")
    unit = forms.CharField(max_length=50, required=False)
    quantity = forms.DecimalField(max_digits=16, decimal_places=4)
    unitPrice = forms.DecimalField(max_digits=16, decimal_places=4, label="Unit price")
    vatRate = forms.ChoiceField(choices=[("", "–"), *((rate, rate) for rate in RATES)], required=False, label="VAT")
    discount = forms.IntegerField(min_value=0, required=False)

    def told(self) -> dict[str, Any]:
        told = {
            name: value for name, value in self.cleaned_data.items() if name != "DELETE" and value not in (None, "")
        }
        return told | {name: format(told[name].normalize(), "f") for name in ("quantity", "unitPrice")}


Lines = forms.formset_factory(Line, extra=1, can_delete=True)


class Amendment(Why):
    template_name = "invoices/amendment.html"

    kind = forms.ChoiceField(choices=[("", "the consumer"), *((k, k.replace("_", " ")) for k in KINDS)], required=False)

    def __init__(self, data: Any = None, *, row: Invoice) -> None:
        super().__init__(data, row=row)
        for name in FIELDS:
            if name != "kind":
                length = LENGTHS.get(name, 40)
                self.fields[name] = forms.CharField(max_length=length, required=False)
            self.fields[name].label = LABELS.get(name, name.capitalize())
            self.fields[name].initial = row.buyer.get(name, "")
        self.order_fields([*FIELDS, "reason"])
        self.lines = Lines(data, initial=row.sold["lines"], prefix="lines")
        self.owed = dong(row.sold["total"] - row.refunded_amount)
        self.prices = "with VAT" if row.sold["pricesIncludeVat"] else "without VAT"

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if not self.lines.is_valid():
            raise forms.ValidationError("Please look at the lines.")
        if not self.told():
            raise forms.ValidationError("Nothing was changed.")
        return cleaned

    def told(self) -> dict[str, Any]:
        buyer = {name: self.cleaned_data[name] for name in FIELDS if self.cleaned_data.get(name)}
        kept = [line for line in self.lines if line.has_changed() or line.initial]
        lines = [line.told() for line in kept if not line.cleaned_data.get("DELETE")]
        return ({"buyer": buyer} if buyer and buyer != self.row.buyer else {}) | (
            {"lines": lines} if self.lines.has_changed() else {}
        )


class Amend(OnInvoice):
    name, label, permissions = "amend", "Amend", ("invoices.amend_invoice", SEES_BUYERS)
    about = "Give it another buyer or other lines, and send it: a new document under the same reference."
    form = Amendment
    states = (State.FAILED,)

    def foresee(self, row: Invoice, **told: Any) -> SafeString:
        after = amend(row, actor="", reason="", dry_run=True, **told)
        return becomes(row, after, "sent at once") + compared_payloads(row, after)

    def do(self, row: Invoice, *, actor: str, reason: str, **told: Any) -> str:
        amend(row, actor=actor, reason=reason, **told)
        return "amended, and sent at once"
