"""How the vendor words what it says."""

import json
from random import Random
from typing import Any

from aiohttp import web

GATEWAY = (500, 502, 503, 504)
PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
REFUSALS = {
    "date-before-last": ("INVOICE_ISSUED_DATE_INVALID", "Ngày lập nhỏ hơn ngày của hóa đơn trước"),
    "number-conflict": ("INVOICE_NO_DUPLICATED", "Số hóa đơn bị trùng"),
    "out-of-quota": ("OUT_OF_INVOICE_NO", "Đã hết số hóa đơn"),
    "cert-expired": ("CERTIFICATE_EXPIRED", "Chứng thư số đã hết hạn"),
    "invalid-buyer-tax-code": ("INVOICE_VALID_INPUT_INVALID_BUYER_TAX_CODE", "Mã số thuế người mua không hợp lệ"),
}
BEING_PROCESSED = ("TRANSACTION_IS_BEING_PROCESSED", "Giao dịch đang được xử lý")
KEY_USED = ("TRANSACTION_UUID_INVALID", "Transaction Uuid đã được lập hóa đơn")
WRONG_SELLER = ("1520", "Mã số thuế người bán không hợp lệ")


class Cut(Exception):
    """Close the connection without a word."""


def json_answer(value: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=json.dumps(value).encode(), content_type="application/json")


def gateway(dice: Random) -> web.Response:
    return web.Response(status=dice.choice(GATEWAY), body=PAGE, content_type="text/html")


def garbled(answer: web.Response, dice: Random) -> web.Response:
    """Half of a JSON text, or a proxy's page."""
    if dice.random() < 0.5:
        return web.Response(body=PAGE, content_type="text/html")
    text = bytes(answer.body or b"")  # type: ignore[arg-type]
    return web.Response(body=text[: len(text) // 2], content_type="application/json")
