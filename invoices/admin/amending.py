"""Amend: the buyer and the lines as a form. What is left as it was is not amended."""

from decimal import Decimal
from typing import Any

from django import forms
from django.utils.safestring import SafeString

from config.console.actions import ReasonForm
from config.console.cells import dong
from invoices.admin.actions import SEES_BUYERS, OnInvoice, becomes
from invoices.admin.payloads import compared_payloads
from invoices.lifecycle import State
from invoices.models import Invoice
from invoices.opening.buyers import FIELDS, KINDS, LENGTHS
from invoices.opening.money import DoesNotAddUp, SoldLine, parse_lines
from invoices.operations.amend import amend

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
    quantity = forms.DecimalField(max_digits=19, decimal_places=4)
    unitPrice = forms.DecimalField(max_digits=19, decimal_places=4, label="Unit price")
    vatRate = forms.ChoiceField(choices=[("", "–"), *((rate, rate) for rate in RATES)], required=False, label="VAT")
    discount = forms.IntegerField(min_value=0, required=False)

    def params(self) -> dict[str, Any]:
        params = {
            name: value for name, value in self.cleaned_data.items() if name != "DELETE" and value not in (None, "")
        }
        return params | {name: plain(params[name]) for name in ("quantity", "unitPrice")}


def typed(line: SoldLine) -> dict[str, Any]:
    """A sold line as the form shows it."""
    numbers = {"quantity": plain(line.quantity), "unitPrice": plain(line.unit_price), "discount": line.discount or None}
    return {"name": line.name, "unit": line.unit, "vatRate": line.vat_rate, **numbers}


def plain(number: Decimal) -> str:
    return format(number.normalize(), "f")


Lines = forms.formset_factory(Line, extra=1, can_delete=True)


class Amendment(ReasonForm):
    template_name = "invoices/amend_form.html"

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
        self.sold = parse_lines(row.sold["lines"])
        self.lines = Lines(data, initial=[typed(line) for line in self.sold], prefix="lines")
        self.owed = dong(row.sold["total"] - row.refunded_amount)
        self.discount = dong(row.sold["discount"]) if row.sold.get("discount") else ""
        self.prices = "with VAT" if row.sold["pricesIncludeVat"] else "without VAT"

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if not self.cleaned_data.get("kind") and any(self.cleaned_data.get(name) for name in FIELDS):
            self.add_error("kind", "Say what the buyer is; for the consumer, empty the buyer's other fields.")
        if not self.lines.is_valid():
            raise forms.ValidationError("Please look at the lines.")
        if not self.params():
            raise forms.ValidationError("Nothing was changed.")
        return cleaned

    def params(self) -> dict[str, Any]:
        buyer = {name: self.cleaned_data[name] for name in FIELDS if self.cleaned_data.get(name)}
        kept = [line for line in self.lines if line.has_changed() or line.initial]
        lines = [line.params() for line in kept if not line.cleaned_data.get("DELETE")]
        return ({"buyer": buyer} if buyer != self.row.buyer else {}) | ({"lines": lines} if self._new(lines) else {})

    def _new(self, lines: list[dict[str, Any]]) -> bool:
        """Compared as they are read: 1.50 is 1.5, whichever of them is stored."""
        try:
            return parse_lines(lines) != self.sold
        except DoesNotAddUp:
            return True  # the act says what is wrong with them


class Amend(OnInvoice):
    name, label, permissions = "amend", "Amend", ("invoices.amend_invoice", SEES_BUYERS)
    description = "Give it another buyer or other lines, and send it: a new document under the same reference."
    form = Amendment
    states = (State.FAILED,)

    def preview(self, row: Invoice, **params: Any) -> SafeString:
        after = amend(row, actor="", reason="", dry_run=True, **params)
        return becomes(row, after, "sent at once") + compared_payloads(row, after)

    def perform(self, row: Invoice, *, actor: str, reason: str, **params: Any) -> str:
        amend(row, actor=actor, reason=reason, **params)
        return "amended, and sent at once"
