"""Viettel's error codes and our classes for them.

Source: reference/vn-providers.md section 2 and the vendor's public clients. A code that is not here is Uncertain: an
unknown code does not prove that nothing happened.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from invoices.providers.base import ProviderError, Refused, Scope, Unavailable, Uncertain
from invoices.providers.http import redact

Verdict = Callable[[str, str], ProviderError]


def _refused_field(field: str) -> Verdict:
    return lambda code, text: Refused(code, text, scope=Scope.ORDER, field=field)


def _refused(scope: Scope, *, login: bool = False) -> Verdict:
    return lambda code, text: Refused(code, text, scope=scope, login=login)


def _unavailable(seconds: float) -> Verdict:
    return lambda code, text: Unavailable(code, text, retry_after=seconds)


def _uncertain(*, look_up_now: bool = False) -> Verdict:
    return lambda code, text: Uncertain(code, text, look_up_now=look_up_now)


_ACCOUNT = _refused(Scope.ACCOUNT)

ERRORS: Mapping[str, Verdict] = {
    # The vendor is still processing the same reference: a look-up now would prove nothing.
    "TRANSACTION_IS_BEING_PROCESSED": _uncertain(),
    # The reference was used: "Transaction Uuid đã được lập hóa đơn".
    "TRANSACTION_UUID_INVALID": _uncertain(look_up_now=True),
    # The vendor gave a number twice at the same moment: nothing was stored, and a minute later it succeeds.
    "INVOICE_NO_DUPLICATED": _unavailable(60),
    "47": _unavailable(60),
    "1521": _unavailable(60),
    # Our clock is ahead of the vendor's: it succeeds later.
    "INVOICE_ISSUED_DATE_OVER_CURRENT_TIME": _unavailable(60),
    # Earlier than the symbol's last date.
    "INVOICE_ISSUED_DATE_INVALID": _refused(Scope.DATE_ORDER),
    "INVALID_USER_PASSWORD": _refused(Scope.ACCOUNT, login=True),
    "DONOT_HAVE_PERMISSION": _ACCOUNT,
    "OUT_OF_INVOICE_NO": _ACCOUNT,
    "1517": _ACCOUNT,  # the symbol is not active
    "1520": _ACCOUNT,  # the seller's tax code is not the account's
    "TEMPLATE_NOT_FOUND": _ACCOUNT,
    "INVOICE_SERIAL_NOT_FOUND": _ACCOUNT,
    "CERTIFICATE_EXPIRED": _ACCOUNT,  # the simulator's code; the vendor's is not public
    "EMAIL_NOT_CONFIG": _ACCOUNT,
    "EMAIL_CONFIG_NOT_ACTIVE": _ACCOUNT,
    "INVOICE_VALID_INPUT_INVALID_BUYER_TAX_CODE": _refused_field("buyer.tax_code"),
    "INVOICE_VALID_INPUT_INVALID_TAX_CODE": _refused_field("buyer.tax_code"),
    "TAX_CODE_INVALID": _refused_field("buyer.tax_code"),
    "BUYER_EMAIL_REQUIRED": _refused_field("buyer.email"),
    "BUYER_EMAIL_ADDRESS_FORMAT": _refused_field("buyer.email"),
    "BUYER_PHONE_NUMBER_INVALID": _refused_field("buyer.phone"),
    "ITEM_NAME_NULL": _refused_field("lines.name"),
    "ITEM_NAME_INVALID": _refused_field("lines.name"),
    "TRANSACTION_UUID_REQUIRED": _refused_field("reference"),
    "INVALID_TRANSACTION_UUID": _refused_field("reference"),
    "410": _refused_field("reference"),  # shorter than 10
    "412": _refused_field("reference"),  # longer than 36
    "43": _refused_field("lines.net"),  # quantity × price
    "44": _refused_field("lines.vat"),  # net × rate
    "49": _refused_field("vat"),  # the sum of taxes
    "87": _refused_field("net"),  # the sum of net amounts
    "NOT_FOUND_DATA": _refused_field("relates_to"),  # on issue: the corrected invoice is unknown there
}

_OK = {"", "0", "00", "200", "NONE"}
_SYMBOL = re.compile(r"[A-Z0-9_]{2,80}")


def read_fault(body: Mapping[str, Any]) -> tuple[str, str]:
    """(code, text) of either failure shape, ("", "") of a success. The text holds no personal data.

    HTTP 200 {errorCode, description}; HTTP 400 {code: 400, message: CODE, data: text}.
    """
    code, text = body.get("errorCode"), body.get("description")
    if str(code or "").upper() in _OK:
        code, text = body.get("message") if body.get("code") else "", body.get("data")
        if code and not _SYMBOL.fullmatch(str(code)):  # a text instead of a code
            code, text = body.get("code"), code
    if str(code or "").upper() in _OK:
        return "", ""
    return redact(str(code), 80), redact(str(text or ""))
