"""Webhooks in the OpenAPI document, in and out. They are signed and need no token."""

from typing import Any

from invoices.api.bodies import BUYER, DONG, IDENTIFIER, INSTANT, SALE
from invoices.lifecycle import Reason, State
from invoices.models import Invoice
from webhooks.inbound.events import EVENTS_OF_ROUTE
from webhooks.outbound.events import TEST, TYPES

PROBLEM = {"$ref": "#/components/responses/Problem"}
NULLABLE = {"type": ["string", "null"]}
OUTCOMES = ["opened", "exists", "not_required", "parked", "stored"]

# Not `required`: the response to a request without them is the same as to one with a wrong signature.
HEADERS = [
    {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}
    for name, description in (
        ("webhook-id", "Identifies the event; the same each time it is sent."),
        ("webhook-timestamp", "Unix time in seconds; at most five minutes off."),
        ("webhook-signature", "`v1,` and the base64 HMAC-SHA256 of id.timestamp.body."),
    )
]
RESPONSE = {
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
        "parked": {"type": "string", "description": "What the merchant's data lacks."},
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
REQUEST = {
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
    "invoice_request.created": REQUEST,
}
TEXT = {"type": "string"}
INVOICE_DATA = {
    "type": "object",
    "required": ["invoiceId", "sourceId", "merchantId", "documentNo", "kind", "state", "occurredAt", "total"],
    "additionalProperties": False,
    "properties": {
        "invoiceId": TEXT,
        "sourceId": {**IDENTIFIER, "description": "The order."},
        "merchantId": IDENTIFIER,
        "documentNo": {"type": "integer", "minimum": 1},
        "kind": {"enum": list(Invoice.Kind.values)},
        "state": {"enum": [state.value for state in State]},
        "occurredAt": INSTANT,
        "total": {**DONG, "description": "Đồng, VAT included."},
        "form": TEXT,
        "symbol": TEXT,
        "number": {**TEXT, "description": "Comes with form, symbol and issueDate, once there is a number."},
        "code": {**TEXT, "description": "The tax authority's code."},
        "issueDate": {"type": "string", "format": "date"},
        "lookupUrl": {"type": "string", "format": "uri"},
        "failure": {
            "type": "object",
            "required": ["reason", "message"],
            "additionalProperties": False,
            "properties": {"reason": {"enum": [reason.value for reason in Reason]}, "message": TEXT},
        },
        "relatesTo": {**TEXT, "description": "The invoice that this one corrects."},
    },
}
TEST_DATA = {
    "type": "object",
    "required": ["endpointId"],
    "additionalProperties": False,
    "properties": {"endpointId": TEXT},
}


def describe(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add POST webhooks/internal and webhooks/merchant, and under `webhooks` the events that endpoints get."""
    schemas = result["components"].setdefault("schemas", {})
    schemas["WebhookAnswer"] = RESPONSE
    for route, types in EVENTS_OF_ROUTE.items():
        events = [_event(kind) for kind in types]
        result["paths"][f"/v1/api/webhooks/{route}"] = {"post": _operation(route, {"oneOf": events})}
    schemas["WebhookData"] = INVOICE_DATA
    result["webhooks"] = {
        "invoice": {"post": _outbound({"enum": list(TYPES)}, {"$ref": "#/components/schemas/WebhookData"})},
        TEST: {"post": _outbound({"const": TEST}, TEST_DATA)},
    }
    return result


def _event(kind: str) -> dict[str, Any]:
    data = DATA.get(kind, {"type": "object"})
    properties = {"type": {"const": kind}, "timestamp": INSTANT, "data": data}
    return {"type": "object", "required": ["type", "data"], "properties": properties}


def _outbound(kind: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "additionalProperties": False,
        "properties": {"type": kind, "timestamp": INSTANT, "data": data},
    }
    return {
        "tags": ["webhooks"],
        "description": "Sent to webhook endpoints, signed by Standard Webhooks. For receivers: docs/webhooks.md.",
        "parameters": HEADERS,
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "security": [],
        "responses": {
            "2XX": {"description": "Received. After any other response, or none within 15 seconds, it is sent again."},
            "410": {"description": "Gone: the endpoint is disabled."},
        },
    }


def _operation(route: str, event: dict[str, Any]) -> dict[str, Any]:
    content = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/WebhookAnswer"}}}}
    return {
        "operationId": f"webhooks_{route}",
        "tags": ["webhooks"],
        "description": "An event, signed by Standard Webhooks. If the same id is sent again, the response is the same.",
        "parameters": HEADERS,
        "requestBody": {"required": True, "content": {"application/json": {"schema": event}}},
        "security": [],
        "responses": {
            "200": {"description": "Already known: the response of the first time.", **content},
            "202": {"description": "Stored and applied.", **content},
            **{status: PROBLEM for status in ("400", "401", "409", "413", "422", "503")},
        },
    }
