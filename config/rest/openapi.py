"""The parts of the OpenAPI document that all operations share."""

from functools import cache
from typing import Any, Literal

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.renderers import OpenApiJsonRenderer

from config.rest.fields import Body

PROBLEM = {"$ref": "#/components/responses/Problem"}
WRITES = ("POST", "PUT", "PATCH")


class OperationSchema(AutoSchema):
    """An operation, with its permission and all its error responses."""

    def get_auth(self) -> list[dict[str, Any]]:
        return [{"bearer": []}]

    def get_tags(self) -> list[str]:
        return [self.path.removeprefix("/v1/api/").split("/")[0]]

    def get_serializer_name(self, serializer: Any, direction: Literal["request", "response"]) -> str:
        return super().get_serializer_name(serializer, direction).removesuffix("Shape")

    def _map_basic_serializer(self, serializer: Any, direction: str) -> Any:
        schema = super()._map_basic_serializer(serializer, direction)
        return {**schema, "additionalProperties": False} if isinstance(serializer, Body) else schema

    def get_description(self) -> str:  # type: ignore[override]
        permission = getattr(self.view, "permission_of", {}).get(getattr(self.view, "action", ""))
        return f"{super().get_description() or ''}\n\nNeeds the permission `{permission}`.".strip()

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation = super().get_operation(*args, **kwargs)
        if operation:
            has_path, has_body = "{" in self.path, self.method in WRITES
            statuses = [401, 403, 429, 503]
            statuses += [404] * has_path + [400, 413, 415] * has_body
            statuses += [422] * (has_body or any(p["in"] == "query" for p in operation.get("parameters", [])))
            statuses += [409] * (getattr(self.view, "action", "") in getattr(self.view, "conflicts", ()))
            operation["responses"].update({str(status): PROBLEM for status in statuses})
            operation["responses"] = dict(sorted(operation["responses"].items()))
        return operation


TEXT = {"type": "string"}
CHECK = {"type": "object", "required": ["ok", "says"], "properties": {"ok": {"type": "boolean"}, "says": TEXT}}
HEALTH = {
    "type": "object",
    "required": ["status", "service", "embedded", "checks"],
    "properties": {
        "status": {"enum": ["ok", "degraded", "down"]},
        "service": TEXT,
        "embedded": {"type": "boolean", "description": "Whether PostgreSQL is the embedded one (development)."},
        "checks": {"type": "object", "additionalProperties": CHECK},
    },
}
LIVE = {
    "type": "object",
    "required": ["status", "service"],
    "properties": {"status": {"enum": ["ok"]}, "service": TEXT},
}


def describe_health(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Adds the health endpoints of config/monitoring/health.py, which are plain views without a token."""
    up = {"200": "Yes."}
    for path, description, schema, statuses in (
        ("health", "Can payments be stored? For gateways.", HEALTH, {**up, "503": "No."}),
        ("health/live", "Does this process respond? Nothing else is checked.", LIVE, up),
        ("health/ready", "Do all checks pass?", HEALTH, {**up, "503": "A check fails."}),
    ):
        content = {"application/json": {"schema": schema}}
        responses = {status: {"description": text, "content": content} for status, text in statuses.items()}
        get = {"operationId": path.replace("/", "_"), "description": description, "tags": ["health"], "security": []}
        result["paths"][f"/v1/api/{path}"] = {"get": {**get, "responses": responses}}
    return result


def add_components(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Adds the components that operations refer to."""
    components = result.setdefault("components", {})
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    components["schemas"]["Problem"] = {
        "type": "object",
        "description": "RFC 9457. `code` is for programs and never changes; `detail` is for people.",
        "required": ["type", "title", "status", "code", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "code": {"type": "string"},
            "detail": {"type": "string"},
            "fields": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    }
    components["responses"] = {
        "Problem": {
            "description": "What went wrong.",
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    }
    return result


@cache
def openapi_document() -> bytes:
    """The document, as served and as committed in docs/openapi.json."""
    return OpenApiJsonRenderer().render(SchemaGenerator().get_schema(request=None, public=True)) + b"\n"


@require_safe
def openapi(request: HttpRequest) -> HttpResponse:
    return HttpResponse(openapi_document(), content_type="application/json")
