"""Errors as RFC 9457 problem documents with a stable `code`."""

from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework import exceptions
from structlog.stdlib import get_logger

log = get_logger(__name__)
API = "/v1/api/"


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


class Problem(exceptions.APIException):
    """Raised anywhere in an API view, it becomes the response."""

    def __init__(self, status: int, code: str, detail: str, *, retry_after: int = 0, **more: Any) -> None:
        super().__init__(detail, code)
        self.status_code, self.code, self.more, self.retry_after = status, code, more, retry_after


def field_problem(field: str, message: str, code: str = "invalid") -> Problem:
    """422: one field is wrong."""
    return Problem(422, code, "Some of the data is not acceptable.", fields={field: message})


CODES: dict[type[Exception], str] = {
    exceptions.ParseError: "not_json",
    exceptions.AuthenticationFailed: "invalid_token",
    exceptions.NotAuthenticated: "unauthenticated",
    exceptions.PermissionDenied: "forbidden",
    exceptions.NotFound: "not_found",
    exceptions.MethodNotAllowed: "method_not_allowed",
    exceptions.UnsupportedMediaType: "unsupported_media_type",
    exceptions.Throttled: "too_many_requests",
}


def exception_handler(error: Exception, context: dict[str, Any]) -> HttpResponse | None:
    """The response to an exception in an API view. None for an internal error: Django logs it and responds 500."""
    if isinstance(error, OperationalError | InterfaceError):
        log.exception("[apiUnavailable]")
        error = Problem(503, "database", "The database does not answer; please send the request again.", retry_after=5)
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    if isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    if isinstance(error, RequestDataTooBig):
        error = Problem(413, "too_large", "The body is larger than we read.")
    if isinstance(error, exceptions.ValidationError):
        error = Problem(422, "invalid", "Some of the data is not acceptable.", fields=_fields(error.detail))
    if not isinstance(error, exceptions.APIException):
        return None
    code = error.code if isinstance(error, Problem) else CODES.get(type(error), "error")
    response = problem(error.status_code, code, str(error.detail), **getattr(error, "more", {}))
    if challenge := getattr(error, "auth_header", None):
        response.headers["WWW-Authenticate"] = challenge
    if wait := getattr(error, "wait", None) or getattr(error, "retry_after", None):
        response.headers["Retry-After"] = str(int(wait))
    return response


def _fields(detail: Any, path: str = "") -> dict[str, str]:
    """Nested errors as paths: `lines[0].name`."""
    if isinstance(detail, dict):
        inner = [_fields(value, f"{path}.{key}" if path else str(key)) for key, value in detail.items()]
    elif isinstance(detail, list) and any(isinstance(value, dict | list) for value in detail):
        inner = [_fields(value, f"{path}[{at}]") for at, value in enumerate(detail) if value]
    else:
        return {path or "body": str(detail[0] if isinstance(detail, list) else detail)}
    return {field: message for fields in inner for field, message in fields.items()}


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith(API)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not _is_api(request):
        return defaults.bad_request(request, exception)
    if isinstance(exception, RequestDataTooBig):
        return problem(413, "too_large", "The body is larger than we read.")
    return problem(400, "bad_request", "The request is malformed.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not _is_api(request):
        return defaults.page_not_found(request, exception)
    return problem(404, "not_found", "There is nothing here.")


def server_error(request: HttpRequest) -> HttpResponse:
    if not _is_api(request):
        return defaults.server_error(request)
    return problem(500, "internal_error", "An internal error occurred; it was logged.")
