"""The form's fields, and the buyer that they make."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from invoices.buyers import LENGTHS

KINDS = {"company": _("Company"), "individual": _("Individual"), "budget_unit": _("Budget unit")}
ORGANISATIONS = ("company", "budget_unit")
EVERYBODY = tuple(KINDS)
WHO = _("Who is the invoice for?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One line of the form. `kinds` show it, `needed` are those of them that cannot do without."""

    name: str
    label: Any
    kinds: tuple[str, ...]
    needed: tuple[str, ...] = ()
    hint: Any = ""
    type: str = "text"
    inputmode: str = "text"
    autocomplete: str = "off"

    @property
    def limit(self) -> int:
        return LENGTHS.get(self.name, 40)  # numbers come with spaces and dots


FIELDS = (
    Field(
        name="taxCode",
        label=_("Tax code"),
        kinds=ORGANISATIONS,
        needed=("company",),
        hint=_("10 digits, 13 for a branch, or the 12 of a household business."),
        inputmode="numeric",
    ),
    Field(
        name="budgetCode",
        label=_("Budget unit code"),
        kinds=("budget_unit",),
        needed=("budget_unit",),
        hint=_("Up to 7 digits."),
        inputmode="numeric",
    ),
    Field(
        name="legalName",
        label=_("Legal name"),
        kinds=ORGANISATIONS,
        needed=ORGANISATIONS,
        hint=_("As in the business registration."),
        autocomplete="organization",
    ),
    Field(name="name", label=_("Full name"), kinds=("individual",), needed=("individual",), autocomplete="name"),
    Field(
        name="personalId",
        label=_("Personal number"),
        kinds=("individual",),
        hint=_("The 12 digits of your identity card."),
        inputmode="numeric",
    ),
    Field(
        name="address",
        label=_("Address"),
        kinds=EVERYBODY,
        needed=ORGANISATIONS,
        hint=_("House and street, commune, province."),
        autocomplete="address-line1",
    ),
    Field(
        name="email",
        label=_("E-mail"),
        kinds=EVERYBODY,
        hint=_("Where the invoice can be sent."),
        type="email",
        inputmode="email",
        autocomplete="email",
    ),
    Field(name="phone", label=_("Telephone"), kinds=EVERYBODY, type="tel", inputmode="tel", autocomplete="tel"),
)


def buyer_of(values: Mapping[str, str]) -> dict[str, str]:
    """The contract's buyer: only what belongs to the chosen kind. An organisation is named by its legal name."""
    kind = values.get("kind", "")
    buyer = {f.name: values.get(f.name, "") for f in FIELDS if kind in f.kinds}
    if kind in ORGANISATIONS:
        buyer["name"] = buyer["legalName"]
    return {"kind": kind, **buyer}


def values_of(buyer: Mapping[str, str]) -> dict[str, str]:
    """What the form shows of a buyer that is known."""
    organisation = buyer.get("kind") in ORGANISATIONS
    return {**buyer, "legalName": buyer.get("legalName") or buyer["name"]} if organisation else dict(buyer)


@dataclass(frozen=True, slots=True)
class Form:
    """What the template needs: the chosen kind, and each field with its text and its problem."""

    kind: str
    rows: list[tuple[Field, str, Any]]
    problems: dict[str, Any]

    @property
    def labelled(self) -> list[tuple[str, Any, Any]]:
        """Input, label and problem, for the summary at the top."""
        labels = {"kind": WHO, **{f.name: f.label for f in FIELDS}}
        return [(name, labels[name], problem) for name, problem in self.problems.items()]


def form_of(values: Mapping[str, str], problems: Mapping[str, Any]) -> Form:
    kind = values.get("kind") if values.get("kind") in KINDS else EVERYBODY[0]
    at_inputs = _at_inputs(problems, values.get("kind", ""))
    return Form(str(kind), [(f, values.get(f.name, ""), at_inputs.get(f.name)) for f in FIELDS], at_inputs)


def _at_inputs(problems: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Each problem at the input where it can be mended, in the order of the form."""
    at = {
        ("legalName" if field == "name" and kind in ORGANISATIONS else field): text for field, text in problems.items()
    }
    order = ["kind", *(f.name for f in FIELDS)]
    return {field: at[field] for field in sorted(at, key=order.index)}
