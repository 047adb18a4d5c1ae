"""Vietnamese tax codes: 10 digits, 10-3 for a branch, 12 for a person.

Since 1 July 2025 people and household businesses use their personal number as tax code (Circular 86/2024, now 90/2026).
A code that passes here is well formed; only the tax authority knows whether the taxpayer exists.
No message quotes the code: a personal number must not reach a log.
"""

import re
import unicodedata

from django.utils.translation import gettext_lazy as _
from stdnum.exceptions import InvalidChecksum, ValidationError
from stdnum.vn import mst

SEPARATORS = re.compile(r"[\s.\u200b-\u200f\u2060\ufeff]")  # the last ones are invisible, from pasted text
HYPHENS = re.compile(r"[\u00ad\u2010-\u2015\u2212\ufe58\ufe63\uff0d]")  # typed or pasted for "-"


class InvalidTaxCode(ValueError):
    """No taxpayer can have this code. The message is shown to people and does not quote the code."""


def normalise(text: str) -> str:
    """The form that is stored and compared: no spaces or dots, 13 digits as 10-3. An invalid code stays invalid."""
    compact = SEPARATORS.sub("", unicodedata.normalize("NFKC", HYPHENS.sub("-", text)))
    digits = compact.replace("-", "")
    if len(digits) == 12 and digits != compact:
        return compact  # a branch code with a digit missing must not pass as a personal number
    if len(digits) == 13 and digits.isdigit():
        return f"{digits[:10]}-{digits[10:]}"
    return digits


def check(text: str) -> str:
    """The normal form of a tax code of any of the three kinds. Raises InvalidTaxCode."""
    code = normalise(text)
    if re.fullmatch(r"[0-9]{12}", code):
        return check_personal_id(code)
    if not re.fullmatch(r"[0-9]{10}(-[0-9]{3})?", code):
        raise InvalidTaxCode(_("A tax code has 10 digits, 10 and 3 for a branch, or the 12 of a personal ID number."))
    try:
        mst.validate(code)
    except InvalidChecksum:
        raise InvalidTaxCode(
            _("The tenth digit does not fit the others: one digit is wrong or two are swapped.")
        ) from None
    except ValidationError:
        raise InvalidTaxCode(_("No tax code has this run of zeros.")) from None
    return code


def check_personal_id(text: str) -> str:
    """The 12 digits of a personal number (số định danh). Raises InvalidTaxCode.

    Its structure (province of birth among the old 63, sex and century, year, six digits) has no check digit and is
    known from practice only, so only obvious inventions are refused.
    """
    code = normalise(text)
    if not re.fullmatch(r"[0-9]{12}", code):
        raise InvalidTaxCode(_("A personal ID number has 12 digits."))
    if len(set(code)) == 1:
        raise InvalidTaxCode(_("This is not a personal ID number: it repeats one digit."))
    return code
