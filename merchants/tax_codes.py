"""Vietnamese tax codes: 10 digits, 10-3 for a branch, 12 for a person.

Since 1 July 2025 people and household businesses use their personal number as tax code (Circular 86/2024, now 90/2026).
A code that passes here is well formed; whether its taxpayer exists only the tax authority knows.
No message repeats the code: a personal number must not reach a log.
"""

import re
import unicodedata

from django.utils.translation import gettext_lazy as _
from stdnum.exceptions import InvalidChecksum, ValidationError
from stdnum.vn import mst

SEPARATORS = re.compile(r"[\s.\u200b-\u200f\u2060\ufeff]")  # the last are invisible and come with pasted text
HYPHENS = re.compile(r"[\u00ad\u2010-\u2015\u2212\ufe58\ufe63\uff0d]")  # what keyboards and word processors make of "-"


class ImpossibleTaxCode(ValueError):
    """No taxpayer can have this code. The text is for people and does not repeat the code."""


def normalise(text: str) -> str:
    """The way it is stored and compared: no spaces or dots, 13 digits as 10-3. No tax code stays none."""
    compact = SEPARATORS.sub("", unicodedata.normalize("NFKC", HYPHENS.sub("-", text)))
    digits = compact.replace("-", "")
    if len(digits) == 12 and digits != compact:
        return compact  # a branch code that lost a digit must not pass for a personal number
    if len(digits) == 13 and digits.isdigit():
        return f"{digits[:10]}-{digits[10:]}"
    return digits


def check(text: str) -> str:
    """The normal form of a tax code of any of the three shapes. Raises ImpossibleTaxCode."""
    code = normalise(text)
    if re.fullmatch(r"[0-9]{12}", code):
        return check_personal_id(code)
    if not re.fullmatch(r"[0-9]{10}(-[0-9]{3})?", code):
        raise ImpossibleTaxCode(_("A tax code has 10 digits, 10 and 3 for a branch, or the 12 of a personal ID number."))
    try:
        mst.validate(code)
    except InvalidChecksum:
        raise ImpossibleTaxCode(
            _("The tenth digit does not fit the others: one digit is wrong or two are swapped.")
        ) from None
    except ValidationError:
        raise ImpossibleTaxCode(_("No tax code has this run of zeros.")) from None
    return code


def check_personal_id(text: str) -> str:
    """The 12 digits of a personal number (số định danh). Raises ImpossibleTaxCode.

    Its structure (province of birth among the old 63, sex and century, year, six digits) has no check digit and is
    known from practice only, so nothing but the plainly invented is refused.
    """
    code = normalise(text)
    if not re.fullmatch(r"[0-9]{12}", code):
        raise ImpossibleTaxCode(_("A personal ID number has 12 digits."))
    if len(set(code)) == 1:
        raise ImpossibleTaxCode(_("This is not a personal ID number: it repeats one digit."))
    return code
