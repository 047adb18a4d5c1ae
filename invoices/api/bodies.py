"""JSON Schema of the bodies that `facts` parses: the contract's payment.succeeded and invoice_request.created."""

from typing import Any

from invoices.opening.buyers import KINDS, LENGTHS
from invoices.opening.money import RATES

IDENTIFIER = {"type": "string", "minLength": 1, "maxLength": 64}
DONG = {"type": "integer", "minimum": 0, "maximum": 10**15 - 1}
INSTANT = {"type": "string", "format": "date-time"}
NUMBER = {
    "description": "Up to 4 decimals; a string keeps them exact.",
    "oneOf": [
        {"type": "number", "minimum": 0, "maximum": 10**15 - 1, "multipleOf": 0.0001},
        {"type": "string", "pattern": r"^[0-9]{1,15}(\.[0-9]{1,4})?$"},
    ],
}


def _text(max_length: int) -> dict[str, Any]:
    return {"type": "string", "maxLength": max_length}


def _body(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"application/json": {"type": "object", "required": required, "properties": properties}}


BUYER: dict[str, Any] = {
    "type": "object",
    "description": "A company needs name, taxCode and address; an individual a name; a budget unit name, budgetCode "
    "and address.",
    "required": ["kind", "name"],
    "properties": {
        "kind": {"enum": list(KINDS)},
        **{name: _text(length) for name, length in LENGTHS.items()},
        "taxCode": {**_text(20), "description": "10 digits, 10-3 for a branch, or 12 for a person."},
        "personalId": {**_text(20), "description": "12 digits."},
    },
}
LINE: dict[str, Any] = {
    "type": "object",
    "required": ["name", "quantity", "unitPrice"],
    "properties": {
        "name": {**_text(500), "minLength": 1},
        "unit": _text(50),
        "quantity": NUMBER,
        "unitPrice": NUMBER,
        "vatRate": {"enum": list(RATES), "description": "Needed on form 1."},
        "discount": DONG,
    },
}
SALE = _body(
    ["merchantId", "orderId", "paidAt", "paymentMethod", "pricesIncludeVat", "lines", "total"],
    merchantId=IDENTIFIER,
    orderId=IDENTIFIER,
    paymentId=IDENTIFIER,
    paidAt=INSTANT,
    currency={"const": "VND"},
    paymentMethod={"type": "string", "minLength": 1, "maxLength": 50, "examples": ["TM", "CK", "TM/CK"]},
    pricesIncludeVat={"type": "boolean"},
    lines={"type": "array", "minItems": 1, "items": LINE},
    discount=DONG,
    total={**DONG, "description": "The amount that the buyer owes, VAT included."},
    buyer=BUYER,
)
REQUEST = _body(
    ["merchantId", "orderId", "requestId", "requestedAt", "buyer"],
    merchantId=IDENTIFIER,
    orderId=IDENTIFIER,
    requestId=IDENTIFIER,
    requestedAt=INSTANT,
    source={"enum": ["checkout", "api"], "default": "api"},
    buyer=BUYER,
)
