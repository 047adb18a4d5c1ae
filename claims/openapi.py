"""The page's JSON twin in the OpenAPI document. The claim link's token authenticates."""

from typing import Any

from invoices.api.bodies import BUYER
from invoices.lifecycle import State

PROBLEM = {"$ref": "#/components/responses/Problem"}
TEXT, WHOLE = {"type": "string"}, {"type": "integer"}
NULLABLE = {"type": ["string", "null"]}
TOKEN = {
    "name": "token",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
}
TIME = {**NULLABLE, "format": "date-time"}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


CLAIM = _object(
    sourceId=TEXT,
    state={"enum": [state.value for state in State]},
    editable={"type": "boolean", "description": "Can the invoice still be claimed, or its claim edited?"},
    claimUrl=TEXT,
    claimDeadline=TIME,
    claimedAt=TIME,
    seller=_object(name=TEXT, legalName=TEXT, taxCode=TEXT, address=TEXT),
    buyer={"type": ["object", "null"], "description": "Masked: anyone who has the link can read this."},
    lines={
        "type": "array",
        "items": _object(
            name=TEXT, unit=NULLABLE, quantity=TEXT, vatRate=NULLABLE, net=WHOLE, vat=WHOLE, total=WHOLE
        ),
    },
    currency={"const": "VND"},
    net=WHOLE,
    vat=WHOLE,
    total=WHOLE,
    form=TEXT,
    symbol=TEXT,
    number=NULLABLE,
    code=NULLABLE,
    issueDate={"type": "string", "format": "date"},
    issuedAt=TIME,
    lookupCode=NULLABLE,
    lookupUrl=NULLABLE,
    files={"type": "object", "additionalProperties": TEXT, "description": "Links to the PDF and XML, once they exist."},
)  # fmt: skip


def describe(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add GET and PUT claims/{token}."""
    result["components"].setdefault("schemas", {})["Claim"] = CLAIM
    result["paths"]["/v1/api/claims/{token}"] = {
        "get": _operation("retrieve", "What the claim link shows.", ("404", "429", "503")),
        "put": {
            **_operation(
                "claim",
                "Claim the invoice, or edit the claim. 409 `taken`, 410 `closed`.",
                ("400", "404", "409", "410", "413", "422", "429", "503"),
            ),
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {"type": "object", "required": ["buyer"], "properties": {"buyer": BUYER}}
                    }
                },
            },
        },
    }
    return result


def _operation(name: str, description: str, problems: tuple[str, ...]) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Claim"}}}
    return {
        "operationId": f"claims_{name}",
        "tags": ["claims"],
        "description": description,
        "parameters": [TOKEN],
        "security": [],
        "responses": {
            "200": {"description": "The invoice as its link shows it.", "content": content},
            **{status: PROBLEM for status in problems},
        },
    }
