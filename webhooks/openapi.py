"""The machines' doors in the OpenAPI document: they are signed, not opened with a token."""

from typing import Any

from invoices.api.bodies import BUYER, DONG, IDENTIFIER, INSTANT, SALE
from webhooks.events import HANDLERS

PROBLEM = {"$ref": "#/components/responses/Problem"}
NULLABLE = {"type": ["string", "null"]}
OUTCOMES = ["opened", "exists", "not_required", "parked", "stored"]

# Not `required`: a request without them is answered like one with a wrong signature.
HEADERS = [
    {"name": name, "in": "header", "description": told, "schema": {"type": "string"}}
    for name, told in (
        ("webhook-id", "One name for one event, however often it is sent."),
        ("webhook-timestamp", "Seconds since 1970; five minutes old at most."),
        ("webhook-signature", "`v1,` and the base64 HMAC-SHA256 of id.timestamp.body."),
    )
]
ANSWER = {
    "type": "object",
    "required": ["eventId", "outcome", "invoiceId", "sourceId", "state", "claimUrl", "claimDeadline"],
    "properties": {
        "eventId": {"type": "string"},
        "outcome": {"enum": OUTCOMES},
        "invoiceId": NULLABLE,
        "sourceId": {"type": "string"},
        "state": NULLABLE,
        "claimUrl": NULLABLE,
        "claimDeadline": {**NULLABLE, "format": "date-time"},
        "parked": {"type": "string", "description": "What the merchant still needs."},
    },
}
REFUND = {
    "type": "object",
    "required": ["orderId", "merchantId", "refundId", "refundedAt", "amount", "full"],
    "properties": {
        **{name: IDENTIFIER for name in ("orderId", "merchantId", "refundId")},
        "refundedAt": INSTANT,
        "amount": DONG,
        "full": {"type": "boolean"},
        "reason": {"type": "string"},
    },
}
REQUESTED = {
    "type": "object",
    "required": ["requestId", "orderId", "merchantId", "requestedAt", "source", "buyer"],
    "properties": {
        **{name: IDENTIFIER for name in ("requestId", "orderId", "merchantId")},
        "requestedAt": INSTANT,
        "source": {"enum": ["checkout", "api"]},
        "buyer": BUYER,
    },
}
PAID = SALE["application/json"]
DATA = {
    "payment.succeeded": {**PAID, "required": [*PAID["required"], "paymentId"]},
    "order.refunded": REFUND,
    "invoice_request.created": REQUESTED,
}


def describe(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add POST webhooks/internal and webhooks/merchant."""
    schemas = result["components"].setdefault("schemas", {})
    schemas["WebhookAnswer"] = ANSWER
    for route, handlers in HANDLERS.items():
        events = [_event(kind) for kind in handlers]
        result["paths"][f"/v1/api/webhooks/{route}"] = {"post": _operation(route, {"oneOf": events})}
    return result


def _event(kind: str) -> dict[str, Any]:
    data = DATA.get(kind, {"type": "object"})
    properties = {"type": {"const": kind}, "timestamp": INSTANT, "data": data}
    return {"type": "object", "required": ["type", "data"], "properties": properties}


def _operation(route: str, event: dict[str, Any]) -> dict[str, Any]:
    told = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/WebhookAnswer"}}}}
    return {
        "operationId": f"webhooks_{route}",
        "tags": ["webhooks"],
        "description": "An event, signed by Standard Webhooks. Sent again under its id it is answered as before.",
        "parameters": HEADERS,
        "requestBody": {"required": True, "content": {"application/json": {"schema": event}}},
        "security": [],
        "responses": {
            "200": {"description": "Known already: the answer of the first time.", **told},
            "202": {"description": "Kept and acted on.", **told},
            **{status: PROBLEM for status in ("400", "401", "409", "413", "422", "503")},
        },
    }
