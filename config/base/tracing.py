"""The context of log lines: the request, task or message they belong to, and its trace.

A trace id comes with a request (W3C traceparent) or is generated. It is stored on the payment and its invoice, so that
a worker with two hundred invoices logs each one under its own trace.
"""

import re
import secrets
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from django.core.signals import got_request_exception
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from structlog.contextvars import bound_contextvars, get_contextvars
from structlog.stdlib import get_logger

log = get_logger(__name__)
TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
REQUEST = re.compile(r"[\w.-]{1,64}", re.ASCII)
UNLOGGED = ("/v1/api/health", "/metrics", "/static/")  # requested very often


def new_trace(traceparent: str = "", **names: Any) -> AbstractContextManager[None]:
    """Logs in this block have the trace id of a well-formed `traceparent`, or else a new one."""
    match = TRACEPARENT.fullmatch(traceparent)
    return bound_contextvars(trace=match[1] if match else secrets.token_hex(16), **names)


def continue_trace(trace: uuid.UUID | None) -> AbstractContextManager[None]:
    """Logs in this block have the trace id that a row carries."""
    return bound_contextvars(**({"trace": trace.hex} if trace else {}))


def trace_id() -> uuid.UUID | None:
    """The current trace id, to be stored on rows."""
    trace = get_contextvars().get("trace")
    return uuid.UUID(trace) if trace else None


class TracingMiddleware:
    """The outermost middleware. Logs one line per request, with its route, because a path may hold a token."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get("X-Request-Id", "")
        name = given if REQUEST.fullmatch(given) else secrets.token_hex(8)
        started = time.perf_counter()
        with new_trace(request.headers.get("traceparent", ""), request=name):
            response = self.get_response(request)
            if not request.path.startswith(UNLOGGED):
                fields = {"method": request.method, "route": _route(request), "status": response.status_code}
                log.info("[request]", **fields, seconds=time.perf_counter() - started)
        response.headers["X-Request-Id"] = name
        return response


def _route(request: HttpRequest) -> str | None:
    return request.resolver_match.route if request.resolver_match else None


def _log_failure(request: HttpRequest | None = None, **_: Any) -> None:
    log.exception("[requestFailed]", route=_route(request) if request else None)


got_request_exception.connect(_log_failure, dispatch_uid="log each failed request once")
