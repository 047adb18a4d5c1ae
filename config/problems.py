"""Errors as RFC 9457 problem documents with a stable `code`."""

from http import HTTPStatus
from typing import Any

from django.http import JsonResponse


def problem(status: int, code: str, detail: str, **more: Any) -> JsonResponse:
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        **more,
    }
    return JsonResponse(
        body, status=status, content_type="application/problem+json", json_dumps_params={"ensure_ascii": False}
    )
