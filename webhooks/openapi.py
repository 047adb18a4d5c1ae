"""What machines tell us and what we tell them, in the OpenAPI document: signed, not opened with a token."""

from typing import Any

from invoices.api.bodies import BUYER, DONG, IDENTIFIER, INSTANT, SALE
from invoices.lifecycle import Reason, State
from invoices.models import Invoice
from webhooks.inbound.events import HANDLERS
from webhooks.outbound.events import TEST, TYPES

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
TEXT = {"type": "string"}
TOLD = {
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
        "number": {**TEXT, "description": "With form, symbol and issueDate: once there is a number."},
        "code": {**TEXT, "description": "Of the tax authority."},
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
TESTED = {
    "type": "object",
    "required": ["endpointId"],
    "additionalProperties": False,
    "properties": {"endpointId": TEXT},
}


def describe(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add POST webhooks/internal and webhooks/merchant, and under `webhooks` what endpoints hear."""
    schemas = result["components"].setdefault("schemas", {})
    schemas["WebhookAnswer"] = ANSWER
    for route, handlers in HANDLERS.items():
        events = [_event(kind) for kind in handlers]
        result["paths"][f"/v1/api/webhooks/{route}"] = {"post": _operation(route, {"oneOf": events})}
    schemas["WebhookData"] = TOLD
    result["webhooks"] = {
        "invoice": {"post": _news({"enum": list(TYPES)}, {"$ref": "#/components/schemas/WebhookData"})},
        TEST: {"post": _news({"const": TEST}, TESTED)},
    }
    return result


def _event(kind: str) -> dict[str, Any]:
    data = DATA.get(kind, {"type": "object"})
    properties = {"type": {"const": kind}, "timestamp": INSTANT, "data": data}
    return {"type": "object", "required": ["type", "data"], "properties": properties}


def _news(kind: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "additionalProperties": False,
        "properties": {"type": kind, "timestamp": INSTANT, "data": data},
    }
    return {
        "tags": ["webhooks"],
        "description": "Sent to webhook endpoints, signed by Standard Webhooks. docs/webhooks.md is for receivers.",
        "parameters": HEADERS,
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "security": [],
        "responses": {
            "2XX": {"description": "Heard. Anything else, or nothing within 15 seconds: sent again."},
            "410": {"description": "Never again: the endpoint is disabled."},
        },
    }


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
