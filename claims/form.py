"""The form's fields, and the buyer that they make."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from claims.masking import masked
from invoices.opening.buyers import LENGTHS

KINDS = {"company": _("Company"), "individual": _("Individual"), "budget_unit": _("Budget unit")}
ORGANISATIONS = ("company", "budget_unit")
EVERYBODY = tuple(KINDS)
WHO = _("Who is the invoice for?")
NUMBERS = {"taxCode", "personalId", "budgetCode"}
LABEL = re.compile(r"^[^\d:]*:\s*")  # "MST: 0100109106", as it stands on a business card


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
        return LENGTHS[self.name] if self.inputmode in ("text", "email") else 40  # numbers come with spaces and dots


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


def buyer_of(values: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    """The contract's buyer: only what belongs to the chosen kind. An organisation is named by its legal name.

    What is personal stays as it is `known` where its input was left empty.
    """
    kind = values.get("kind", "")
    buyer = {f.name: values.get(f.name, "").strip() for f in FIELDS if kind in f.kinds}
    for name in NUMBERS & buyer.keys():
        buyer[name] = LABEL.sub("", buyer[name])
    buyer |= {name: value for name, value in _personal(known).items() if kind == known["kind"] and not buyer[name]}
    if kind in ORGANISATIONS:
        buyer["name"] = buyer["legalName"]
    return {"kind": kind, **buyer}


def values_of(buyer: Mapping[str, str]) -> dict[str, str]:
    """What the form shows of a buyer that is known."""
    organisation = buyer.get("kind") in ORGANISATIONS
    return {**buyer, "legalName": buyer.get("legalName") or buyer["name"]} if organisation else dict(buyer)


def public_values_of(buyer: Mapping[str, str]) -> dict[str, str]:
    """What the form may show of a buyer to anyone who holds the link: what a company's register shows."""
    return {name: value for name, value in values_of(buyer).items() if name not in _personal(buyer)}


def _personal(buyer: Mapping[str, str]) -> dict[str, str]:
    """By input: the parts of a buyer that are a person's own."""
    if not buyer:
        return {}
    names = ("email", "phone") if buyer["kind"] in ORGANISATIONS else tuple(f.name for f in FIELDS)
    return {name: buyer[name] for name in names if buyer.get(name)}


@dataclass(frozen=True, slots=True)
class Form:
    """What the template needs: the chosen kind, and each field with text, problem, and what stays if it is empty."""

    kind: str
    rows: list[tuple[Field, str, Any, str]]
    problems: dict[str, Any]

    @property
    def labelled(self) -> list[tuple[str, Any, Any]]:
        """Input, label and problem, for the summary at the top."""
        labels = {"kind": WHO, **{f.name: f.label for f in FIELDS}}
        return [(name, labels[name], problem) for name, problem in self.problems.items()]


def refused(at: str) -> dict[str, Any]:
    """The problem of a refused document's field, "buyer.tax_code"."""
    first, *words = at.removeprefix("buyer.").split("_")
    name = "".join([first, *(word.title() for word in words)])
    return {name: _("This was not accepted.")} if name in {f.name for f in FIELDS} else {}


def form_of(values: Mapping[str, str], problems: Mapping[str, Any], known: Mapping[str, str]) -> Form:
    kept = masked(dict(known))
    kept = {name: kept[name] for name in _personal(known)}
    kind = values.get("kind") if values.get("kind") in KINDS else EVERYBODY[0]
    at_inputs = _at_inputs(problems, values.get("kind", ""))
    rows = [(f, values.get(f.name, ""), at_inputs.get(f.name), kept.get(f.name, "")) for f in FIELDS]
    return Form(str(kind), rows, at_inputs)


def _at_inputs(problems: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Each problem at the input where it can be mended, in the order of the form."""
    at = {
        ("legalName" if field == "name" and kind in ORGANISATIONS else field): text for field, text in problems.items()
    }
    order = ["kind", *(f.name for f in FIELDS)]
    return {field: at[field] for field in sorted(at, key=order.index)}
