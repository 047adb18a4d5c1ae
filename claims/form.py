"""The claim form: its fields, and the buyer read from them. `invoices.opening.buyers` validates the values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from claims.masking import mask_buyer
from invoices.opening.buyers import LENGTHS

KINDS = {"company": _("Company"), "individual": _("Individual"), "budget_unit": _("Budget unit")}
ORGANISATIONS = ("company", "budget_unit")
ALL_KINDS = tuple(KINDS)
KIND_LABEL = _("Who is this invoice for?")
NUMBERS = {"taxCode", "personalId", "budgetCode"}
LABEL_PREFIX = re.compile(r"^[^\d:]*:\s*")  # "MST: 0100109106", pasted from a business card


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of the form. `kinds`: the kinds of buyer that have it. `needed`: those that must fill it in."""

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
        return LENGTHS[self.name] if self.inputmode in ("text", "email") else 40  # room for spaces and dots


FIELDS = (
    Field(
        name="taxCode",
        label=_("Tax code"),
        kinds=ORGANISATIONS,
        needed=("company",),
        hint=_("10 digits; 13 for a branch; 12 for a household business."),
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
        hint=_("Exactly as registered."),
        autocomplete="organization",
    ),
    Field(name="name", label=_("Full name"), kinds=("individual",), needed=("individual",), autocomplete="name"),
    Field(
        name="personalId",
        label=_("Personal ID number"),
        kinds=("individual",),
        hint=_("The 12 digits on your identity card."),
        inputmode="numeric",
    ),
    Field(
        name="address",
        label=_("Address"),
        kinds=ALL_KINDS,
        needed=ORGANISATIONS,
        hint=_("House number and street, commune, province."),
        autocomplete="address-line1",
    ),
    Field(
        name="email",
        label=_("Email"),
        kinds=ALL_KINDS,
        hint=_("Where we can send the invoice."),
        type="email",
        inputmode="email",
        autocomplete="email",
    ),
    Field(name="phone", label=_("Phone"), kinds=ALL_KINDS, type="tel", inputmode="tel", autocomplete="tel"),
)


def read_buyer(values: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    """The contract's buyer, with the fields of the chosen kind only. An organisation's name is its legal name.

    A personal field that was left empty keeps its `known` value.
    """
    kind = values.get("kind", "")
    buyer = {f.name: values.get(f.name, "").strip() for f in FIELDS if kind in f.kinds}
    for name in NUMBERS & buyer.keys():
        buyer[name] = LABEL_PREFIX.sub("", buyer[name])
    buyer |= {name: value for name, value in _personal(known).items() if kind == known["kind"] and not buyer[name]}
    if kind in ORGANISATIONS:
        buyer["name"] = buyer["legalName"]
    return {"kind": kind, **buyer}


def form_values(buyer: Mapping[str, str]) -> dict[str, str]:
    """A buyer as the form's values."""
    organisation = buyer.get("kind") in ORGANISATIONS
    return {**buyer, "legalName": buyer.get("legalName") or buyer["name"]} if organisation else dict(buyer)


def public_form_values(buyer: Mapping[str, str]) -> dict[str, str]:
    """The values that anyone with the link may see: those that the business register publishes."""
    return {name: value for name, value in form_values(buyer).items() if name not in _personal(buyer)}


def _personal(buyer: Mapping[str, str]) -> dict[str, str]:
    """The personal fields of a buyer, under the names of the form's fields."""
    if not buyer:
        return {}
    names = ("email", "phone") if buyer["kind"] in ORGANISATIONS else tuple(f.name for f in FIELDS)
    return {name: buyer[name] for name in names if buyer.get(name)}


@dataclass(frozen=True, slots=True)
class Form:
    """The form as the template shows it."""

    kind: str
    rows: list[tuple[Field, str, Any, str]]  # field, value, problem, masked value that stays if left empty
    problems: dict[str, Any]

    @property
    def labelled(self) -> list[tuple[str, Any, Any]]:
        """Field name, label and problem, for the summary at the top."""
        labels = {"kind": KIND_LABEL, **{f.name: f.label for f in FIELDS}}
        return [(name, labels[name], problem) for name, problem in self.problems.items()]


def problem_of_refused_field(path: str) -> dict[str, Any]:
    """For the field that a provider refused. `path` is in the document: "buyer.tax_code"."""
    first, *words = path.removeprefix("buyer.").split("_")
    name = "".join([first, *(word.title() for word in words)])
    return {name: _("This was not accepted.")} if name in {f.name for f in FIELDS} else {}


def build_form(values: Mapping[str, str], problems: Mapping[str, Any], known: Mapping[str, str]) -> Form:
    kept = mask_buyer(dict(known))
    kept = {name: kept[name] for name in _personal(known)}
    kind = values.get("kind") if values.get("kind") in KINDS else ALL_KINDS[0]
    by_field = _by_field(problems, values.get("kind", ""))
    rows = [(f, values.get(f.name, ""), by_field.get(f.name), kept.get(f.name, "")) for f in FIELDS]
    return Form(str(kind), rows, by_field)


def _by_field(problems: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Each problem at the field where the buyer can correct it, in the order of the form."""
    moved = {
        ("legalName" if field == "name" and kind in ORGANISATIONS else field): text for field, text in problems.items()
    }
    order = ["kind", *(f.name for f in FIELDS)]
    return {field: moved[field] for field in sorted(moved, key=order.index)}
