"""Viettel's codes, told in our classes. Source: reference/vn-providers.md section 2 and the vendor's public clients.

A code that is not here is Uncertain: not knowing a word is no proof that nothing happened.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from invoices.providers.base import ProviderError, Refused, Scope, Unavailable, Uncertain
from invoices.providers.http import redacted

Verdict = Callable[[str, str], ProviderError]


def _order(field: str) -> Verdict:
    return lambda code, text: Refused(code, text, scope=Scope.ORDER, field=field)


def _refused(scope: Scope, *, login: bool = False) -> Verdict:
    return lambda code, text: Refused(code, text, scope=scope, login=login)


def _later(seconds: float) -> Verdict:
    return lambda code, text: Unavailable(code, text, retry_after=seconds)


def _perhaps(*, ask_now: bool = False) -> Verdict:
    return lambda code, text: Uncertain(code, text, ask_now=ask_now)


_ACCOUNT = _refused(Scope.ACCOUNT)

ERRORS: Mapping[str, Verdict] = {
    # The same key is still running there: a look-up now would say nothing.
    "TRANSACTION_IS_BEING_PROCESSED": _perhaps(),
    # The key was used: "Transaction Uuid đã được lập hóa đơn".
    "TRANSACTION_UUID_INVALID": _perhaps(ask_now=True),
    # Two numbers drawn at once there: nothing was kept, and a minute later it goes through.
    "INVOICE_NO_DUPLICATED": _later(60),
    "47": _later(60),
    "1521": _later(60),
    # Our clock runs ahead of theirs: time mends it.
    "INVOICE_ISSUED_DATE_OVER_CURRENT_TIME": _later(60),
    # Earlier than the symbol's last date.
    "INVOICE_ISSUED_DATE_INVALID": _refused(Scope.LANE),
    "INVALID_USER_PASSWORD": _refused(Scope.ACCOUNT, login=True),
    "DONOT_HAVE_PERMISSION": _ACCOUNT,
    "OUT_OF_INVOICE_NO": _ACCOUNT,
    "1517": _ACCOUNT,  # the symbol is not active
    "1520": _ACCOUNT,  # the seller's tax code is not the account's
    "TEMPLATE_NOT_FOUND": _ACCOUNT,
    "INVOICE_SERIAL_NOT_FOUND": _ACCOUNT,
    "CERTIFICATE_EXPIRED": _ACCOUNT,  # the simulator's word; the vendor's own is not public
    "EMAIL_NOT_CONFIG": _ACCOUNT,
    "EMAIL_CONFIG_NOT_ACTIVE": _ACCOUNT,
    "INVOICE_VALID_INPUT_INVALID_BUYER_TAX_CODE": _order("buyer.tax_code"),
    "INVOICE_VALID_INPUT_INVALID_TAX_CODE": _order("buyer.tax_code"),
    "TAX_CODE_INVALID": _order("buyer.tax_code"),
    "BUYER_EMAIL_REQUIRED": _order("buyer.email"),
    "BUYER_EMAIL_ADDRESS_FORMAT": _order("buyer.email"),
    "BUYER_PHONE_NUMBER_INVALID": _order("buyer.phone"),
    "ITEM_NAME_NULL": _order("lines.name"),
    "ITEM_NAME_INVALID": _order("lines.name"),
    "TRANSACTION_UUID_REQUIRED": _order("reference"),
    "INVALID_TRANSACTION_UUID": _order("reference"),
    "410": _order("reference"),  # shorter than 10
    "412": _order("reference"),  # longer than 36
    "43": _order("lines.net"),  # quantity × price
    "44": _order("lines.vat"),  # net × rate
    "49": _order("vat"),  # the sum of taxes
    "87": _order("net"),  # the sum of net amounts
    "NOT_FOUND_DATA": _order("relates_to"),  # on issue: the corrected invoice is unknown there
}

_OK = {"", "0", "00", "200", "NONE"}
_SYMBOL = re.compile(r"[A-Z0-9_]{2,80}")


def fault(body: Mapping[str, Any]) -> tuple[str, str]:
    """(code, text) of either failure shape, ("", "") of a success; the text without personal data.

    HTTP 200 {errorCode, description}; HTTP 400 {code: 400, message: CODE, data: text}.
    """
    code, text = body.get("errorCode"), body.get("description")
    if str(code or "").upper() in _OK:
        code, text = body.get("message") if body.get("code") else "", body.get("data")
        if code and not _SYMBOL.fullmatch(str(code)):  # words where the code should be
            code, text = body.get("code"), code
    if str(code or "").upper() in _OK:
        return "", ""
    return redacted(str(code), 80), redacted(str(text or ""))
