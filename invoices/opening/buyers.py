"""The buyer that an invoice is made out to, checked and normalised."""

import re
import unicodedata
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext_lazy as _

from merchants import tax_codes

KINDS = {
    "company": ("name", "taxCode", "address"),  # the fields that the law requires, by kind
    "individual": ("name",),
    "budget_unit": ("name", "budgetCode", "address"),
}
LENGTHS = {"name": 400, "legalName": 400, "address": 400, "email": 50, "phone": 15, "budgetCode": 7}
FIELDS = ("kind", "name", "legalName", "taxCode", "personalId", "budgetCode", "address", "email", "phone")


class InvalidBuyer(ValueError):
    """`problems` maps each invalid field to a sentence for the buyer."""

    def __init__(self, problems: dict[str, Any]) -> None:
        self.problems = problems
        field, message = next(iter(problems.items()))
        super().__init__(f"buyer.{field}: {message}")


def parse_buyer(raw: Any) -> dict[str, str]:
    """A buyer of the contract, normalised and without empty fields. Raises InvalidBuyer with all problems."""
    if not isinstance(raw, dict):
        raise InvalidBuyer({"kind": _("The buyer must be a JSON object.")})
    problems: dict[str, Any] = {}
    buyer: dict[str, str] = {}
    for field in FIELDS:
        value = raw.get(field)
        if value is None or value == "":
            continue
        if not isinstance(value, str):
            problems[field] = _("This must be text.")
        elif text := _clean(value):
            buyer[field] = text
    kind = buyer.get("kind", "")
    if kind not in KINDS:
        problems["kind"] = _("Please choose a company, an individual or a budget unit.")
    for field in KINDS.get(kind, ()):
        if field not in buyer and field not in problems:
            problems[field] = _("Please fill this in.")
    for field, check in CHECKS.items():
        if field in buyer and field not in problems:
            try:
                buyer[field] = check(buyer[field])
            except (ValueError, ValidationError) as error:
                problems[field] = error.args[0]
    for field, length in LENGTHS.items():
        if len(buyer.get(field, "")) > length and field not in problems:
            problems[field] = _("This is too long: at most %(length)d characters.") % {"length": length}
    if problems:
        raise InvalidBuyer(problems)
    return buyer


def _clean(text: str) -> str:
    """NFC, without control characters, with single spaces."""
    kept = "".join(" " if unicodedata.category(c)[0] == "C" else c for c in unicodedata.normalize("NFC", text))
    return " ".join(kept.split())


def _phone(text: str) -> str:
    digits = re.sub(r"\(0\)|[\s.()-]", "", text)
    digits = "0" + digits[3:] if digits.startswith("+84") else digits
    if not re.fullmatch(r"\+?\d{8,15}", digits):
        raise ValueError(_("This does not look like a phone number."))
    return digits.lstrip("+")


def _email(text: str) -> str:
    try:
        validate_email(text)
    except ValidationError:
        raise ValueError(_("This does not look like an email address.")) from None
    return text


def _budget_code(text: str) -> str:
    if not re.fullmatch(r"\d{1,7}", text):
        raise ValueError(_("A budget unit's code has up to 7 digits."))
    return text


CHECKS = {
    "taxCode": tax_codes.check,
    "personalId": tax_codes.check_personal_id,
    "email": _email,
    "phone": _phone,
    "budgetCode": _budget_code,
}
