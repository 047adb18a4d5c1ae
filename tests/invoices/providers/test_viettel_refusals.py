"""Every known code of the vendor, in both of its shapes, and our class for it."""

import pytest

from invoices.providers.base import ProviderError, Refused, Scope, Unavailable, Uncertain
from invoices.providers.viettel.refusals import ERRORS
from tests.invoices.providers.wire import Scripted, http, refusal, run

ORDER, ACCOUNT, DATE_ORDER = Scope.ORDER, Scope.ACCOUNT, Scope.DATE_ORDER
BUYER_TAX = (Refused, ORDER, "buyer.tax_code")
EXPECTED: dict[str, tuple[type[ProviderError], object, object]] = {
    "TRANSACTION_IS_BEING_PROCESSED": (Uncertain, False, None),
    "TRANSACTION_UUID_INVALID": (Uncertain, True, None),
    "INVOICE_NO_DUPLICATED": (Unavailable, 60, None),
    "47": (Unavailable, 60, None),
    "1521": (Unavailable, 60, None),
    "INVOICE_ISSUED_DATE_OVER_CURRENT_TIME": (Unavailable, 60, None),
    "INVOICE_ISSUED_DATE_INVALID": (Refused, DATE_ORDER, ""),
    "INVALID_USER_PASSWORD": (Refused, ACCOUNT, ""),
    "DONOT_HAVE_PERMISSION": (Refused, ACCOUNT, ""),
    "OUT_OF_INVOICE_NO": (Refused, ACCOUNT, ""),
    "1517": (Refused, ACCOUNT, ""),
    "1520": (Refused, ACCOUNT, ""),
    "TEMPLATE_NOT_FOUND": (Refused, ACCOUNT, ""),
    "INVOICE_SERIAL_NOT_FOUND": (Refused, ACCOUNT, ""),
    "CERTIFICATE_EXPIRED": (Refused, ACCOUNT, ""),
    "EMAIL_NOT_CONFIG": (Refused, ACCOUNT, ""),
    "EMAIL_CONFIG_NOT_ACTIVE": (Refused, ACCOUNT, ""),
    "INVOICE_VALID_INPUT_INVALID_BUYER_TAX_CODE": BUYER_TAX,
    "INVOICE_VALID_INPUT_INVALID_TAX_CODE": BUYER_TAX,
    "TAX_CODE_INVALID": BUYER_TAX,
    "BUYER_EMAIL_REQUIRED": (Refused, ORDER, "buyer.email"),
    "BUYER_EMAIL_ADDRESS_FORMAT": (Refused, ORDER, "buyer.email"),
    "BUYER_PHONE_NUMBER_INVALID": (Refused, ORDER, "buyer.phone"),
    "ITEM_NAME_NULL": (Refused, ORDER, "lines.name"),
    "ITEM_NAME_INVALID": (Refused, ORDER, "lines.name"),
    "TRANSACTION_UUID_REQUIRED": (Refused, ORDER, "reference"),
    "INVALID_TRANSACTION_UUID": (Refused, ORDER, "reference"),
    "410": (Refused, ORDER, "reference"),
    "412": (Refused, ORDER, "reference"),
    "43": (Refused, ORDER, "lines.net"),
    "44": (Refused, ORDER, "lines.vat"),
    "49": (Refused, ORDER, "vat"),
    "87": (Refused, ORDER, "net"),
    "NOT_FOUND_DATA": (Refused, ORDER, "relates_to"),
    "A_CODE_OF_TOMORROW": (Uncertain, False, None),
    "9999": (Uncertain, False, None),
}


def seen(error: ProviderError) -> tuple[type[ProviderError], object, object]:
    match error:
        case Refused():
            return Refused, error.scope, error.field
        case Unavailable():
            return Unavailable, error.retry_after, None
        case Uncertain():
            return Uncertain, error.look_up_now, None
    raise AssertionError(error)


def test_every_code_of_the_table_is_expected_here() -> None:
    assert set(ERRORS) == set(EXPECTED) - {"A_CODE_OF_TOMORROW", "9999"}


@pytest.mark.parametrize("code", EXPECTED)
@pytest.mark.parametrize("shape", ["HTTP 400", "HTTP 200", "HTTP 200 with a number"])
def test_a_code_has_one_meaning_in_each_shape(code: str, shape: str) -> None:
    sent: str | int = int(code) if shape.endswith("number") and code.isdecimal() else code
    if shape == "HTTP 400":
        answer = http({"code": 400, "message": code, "data": "Lý do"}, 400)
    else:
        answer = http({"errorCode": sent, "description": "Lý do", "result": None})

    async def journey() -> None:
        async with Scripted(answer) as server:
            error = await refusal(server)
            assert seen(error) == EXPECTED[code]
            assert (error.code, error.message) == (code, "Lý do")
            assert len(server.requests) == 1

    run(journey())
