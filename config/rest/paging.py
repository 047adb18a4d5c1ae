"""Paging by cursor. A cursor is the key of the last row of a page, so pages do not shift while rows are added."""

from typing import Any

from django.conf import settings
from rest_framework import serializers
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class NewestFirst(BasePagination):
    """By id, newest first: `?limit=` rows after `?cursor=`. `nextCursor` is null on the last page."""

    field = "id"
    descending = True
    digits = 19  # of a cursor at most

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        limit, after = self._limit_and_cursor(request)
        if after is not None:
            queryset = queryset.filter(**{f"{self.field}__{'lt' if self.descending else 'gt'}": after})
        rows = list(queryset.order_by(f"{'-' if self.descending else ''}{self.field}")[: limit + 1])
        self.next = str(getattr(rows[limit - 1], self.field)) if len(rows) > limit else None
        return rows[:limit]

    def _limit_and_cursor(self, request: Request) -> tuple[int, Any]:
        fields: dict[str, serializers.Field] = {
            "limit": serializers.IntegerField(min_value=1, max_value=settings.PAGE_MAX),
            "cursor": serializers.RegexField(rf"^[0-9]{{1,{self.digits}}}\Z"),
        }
        errors: dict[str, Any] = {}
        values: dict[str, Any] = {"limit": settings.PAGE, "cursor": None}
        for name in fields.keys() & request.query_params.keys():
            try:
                values[name] = fields[name].run_validation(request.query_params[name])
            except serializers.ValidationError as error:
                errors[name] = error.detail
        if errors:
            raise serializers.ValidationError(errors)
        return values["limit"], values["cursor"]

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"items": data, "nextCursor": self.next})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "required": ["items", "nextCursor"],
            "properties": {"items": schema, "nextCursor": {"type": ["string", "null"]}},
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        return [
            {
                "name": "limit",
                "in": "query",
                "schema": {"type": "integer", "minimum": 1, "maximum": settings.PAGE_MAX, "default": settings.PAGE},
            },
            {
                "name": "cursor",
                "in": "query",
                "description": "A page's `nextCursor`.",
                "schema": {"type": "string", "pattern": f"^[0-9]{{1,{self.digits}}}$"},
            },
        ]


class BySequence(NewestFirst):
    """Events of a chain, oldest first."""

    field = "seq"
    descending = False


class ByCode(NewestFirst):
    """Administrative units: their codes are digits."""

    field = "code"
    descending = False
    digits = 5
