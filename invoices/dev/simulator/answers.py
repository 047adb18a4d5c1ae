"""The texts and shapes of the vendor's answers."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

from aiohttp import web

from invoices.dev.simulator.faults import Mode

GATEWAY = (500, 502, 503, 504)
PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
Refusal = tuple[str, str]  # code, text
Refuse = Callable[[str, str], web.Response]

REFUSALS: dict[Mode, Refusal] = {
    Mode.DATE_BEFORE_LAST: ("INVOICE_ISSUED_DATE_INVALID", "Ngày lập nhỏ hơn ngày của hóa đơn trước"),
    Mode.NUMBER_CONFLICT: ("INVOICE_NO_DUPLICATED", "Số hóa đơn bị trùng"),
    Mode.OUT_OF_QUOTA: ("OUT_OF_INVOICE_NO", "Đã hết số hóa đơn"),
    Mode.CERTIFICATE_EXPIRED: ("CERTIFICATE_EXPIRED", "Chứng thư số đã hết hạn"),
    Mode.INVALID_BUYER_TAX_CODE: (
        "INVOICE_VALID_INPUT_INVALID_BUYER_TAX_CODE",
        "Mã số thuế người mua không hợp lệ",
    ),
}
BEING_PROCESSED = ("TRANSACTION_IS_BEING_PROCESSED", "Giao dịch đang được xử lý")
KEY_USED = ("TRANSACTION_UUID_INVALID", "Transaction Uuid đã được lập hóa đơn")
WRONG_SELLER = ("1520", "Mã số thuế người bán không hợp lệ")


class ConnectionCut(Exception):
    """The connection is to be closed without an answer."""


def json_answer(value: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=json.dumps(value).encode(), content_type="application/json")


def gateway_error(dice: Random) -> web.Response:
    return web.Response(status=dice.choice(GATEWAY), body=PAGE, content_type="text/html")


def garble(answer: web.Response, dice: Random) -> web.Response:
    """Half of a JSON text, or a proxy's page."""
    if dice.random() < 0.5:
        return web.Response(body=PAGE, content_type="text/html")
    text = bytes(answer.body or b"")  # type: ignore[arg-type]
    return web.Response(body=text[: len(text) // 2], content_type="application/json")
