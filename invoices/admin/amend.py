"""The action Amend: the buyer and the lines as a form. Only changed fields are amended."""

from decimal import Decimal
from typing import Any

from django import forms
from django.utils.safestring import SafeString

from config.console.actions import ReasonForm
from config.console.cells import dong
from invoices.admin.actions import SEES_BUYERS, InvoiceAction, render_state_change
from invoices.admin.document import render_payload_comparison
from invoices.lifecycle import State
from invoices.models import Invoice
from invoices.opening.buyers import FIELDS, KINDS, LENGTHS
from invoices.opening.money import DoesNotAddUp, SoldLine, parse_lines
from invoices.operations.amend import amend

LABELS = {
    "kind": "Buyer",
    "legalName": "Legal name",
    "taxCode": "Tax code",
    "personalId": "Personal ID number",
    "budgetCode": "Budget code",
    "email": "Email",
}
RATES = ("0%", "5%", "8%", "10%", "KCT", "KKKNT")


class LineForm(forms.Form):
    """One line, with the fields of the contract's payment."""

    name = forms.CharField(max_length=500, label="Goods or service")
    unit = forms.CharField(max_length=50, required=False)
    quantity = forms.DecimalField(max_digits=19, decimal_places=4)
    unitPrice = forms.DecimalField(max_digits=19, decimal_places=4, label="Unit price")
    vatRate = forms.ChoiceField(choices=[("", "–"), *((rate, rate) for rate in RATES)], required=False, label="VAT")
    discount = forms.IntegerField(min_value=0, required=False)

    def params(self) -> dict[str, Any]:
        filled = {name: v for name, v in self.cleaned_data.items() if name != "DELETE" and v not in (None, "")}
        return filled | {name: _decimal_text(filled[name]) for name in ("quantity", "unitPrice")}


def _initial_values(line: SoldLine) -> dict[str, Any]:
    return {
        "name": line.name,
        "unit": line.unit,
        "vatRate": line.vat_rate,
        "quantity": _decimal_text(line.quantity),
        "unitPrice": _decimal_text(line.unit_price),
        "discount": line.discount or None,
    }


def _decimal_text(number: Decimal) -> str:
    """Without trailing zeros or exponent: 1.50 → 1.5."""
    return format(number.normalize(), "f")


LineFormSet = forms.formset_factory(LineForm, extra=1, can_delete=True)


class AmendForm(ReasonForm):
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
        self.lines = LineFormSet(data, initial=[_initial_values(line) for line in self.sold], prefix="lines")
        self.owed = dong(row.sold["total"] - row.refunded_amount)
        self.discount = dong(row.sold["discount"]) if row.sold.get("discount") else ""
        self.prices = "with VAT" if row.sold["pricesIncludeVat"] else "without VAT"

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if not self.cleaned_data.get("kind") and any(self.cleaned_data.get(name) for name in FIELDS):
            self.add_error("kind", "Choose the kind of buyer. For the consumer, clear the buyer's other fields.")
        if not self.lines.is_valid():
            raise forms.ValidationError("Please correct the lines.")
        if not self.params():
            raise forms.ValidationError("Nothing was changed.")
        return cleaned

    def params(self) -> dict[str, Any]:
        buyer = {name: self.cleaned_data[name] for name in FIELDS if self.cleaned_data.get(name)}
        kept = [line for line in self.lines if line.has_changed() or line.initial]
        lines = [line.params() for line in kept if not line.cleaned_data.get("DELETE")]
        return ({"buyer": buyer} if buyer != self.row.buyer else {}) | (
            {"lines": lines} if self._differs(lines) else {}
        )

    def _differs(self, lines: list[dict[str, Any]]) -> bool:
        """Compares parsed values: a stored 1.50 equals a typed 1.5."""
        try:
            return parse_lines(lines) != self.sold
        except DoesNotAddUp:
            return True  # the preview names the errors


class Amend(InvoiceAction):
    name, label, permissions = "amend", "Amend", ("invoices.amend_invoice", SEES_BUYERS)
    description = "Changes its buyer or lines, and sends it: a new document with the same reference."
    form = AmendForm
    states = (State.FAILED,)

    def preview(self, row: Invoice, **params: Any) -> SafeString:
        after = amend(row, actor="", reason="", dry_run=True, **params)
        return render_state_change(row, after, "it is sent at once") + render_payload_comparison(row, after)

    def perform(self, row: Invoice, *, actor: str, reason: str, **params: Any) -> str:
        amend(row, actor=actor, reason=reason, **params)
        return "amended; it is sent at once"
