"""Which work a line of the log belongs to: a request, a task, a message; and the trace that it is part of.

A trace begins at the door, by W3C traceparent or by us. It is kept on the payment and its invoice, so that a worker
which takes two hundred of them writes under each one's own trace.
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
UNTOLD = ("/v1/api/health", "/metrics", "/static/")  # machines ask every second


def within(traceparent: str = "", **names: Any) -> AbstractContextManager[None]:
    """What is logged in this block belongs to this trace: the caller's where it is well-formed, else a new one."""
    given = TRACEPARENT.fullmatch(traceparent)
    return bound_contextvars(trace=given[1] if given else secrets.token_hex(16), **names)


def continuing(trace: uuid.UUID | None) -> AbstractContextManager[None]:
    """What is logged in this block belongs to a trace that a row carried here."""
    return bound_contextvars(**({"trace": trace.hex} if trace else {}))


def trace_id() -> uuid.UUID | None:
    """The trace that we are in, for the rows that carry it on."""
    trace = get_contextvars().get("trace")
    return uuid.UUID(trace) if trace else None


class Traced:
    """The outermost middleware: one line a request, by its route; a path may hold a token."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get("X-Request-Id", "")
        name = given if REQUEST.fullmatch(given) else secrets.token_hex(8)
        started = time.perf_counter()
        with within(request.headers.get("traceparent", ""), request=name):
            response = self.get_response(request)
            if not request.path.startswith(UNTOLD):
                told = {"method": request.method, "route": _route(request), "status": response.status_code}
                log.info("[request]", **told, seconds=time.perf_counter() - started)
        response.headers["X-Request-Id"] = name
        return response


def _route(request: HttpRequest) -> str | None:
    return request.resolver_match.route if request.resolver_match else None


def _failed(request: HttpRequest | None = None, **_: Any) -> None:
    log.exception("[requestFailed]", route=_route(request) if request else None)


got_request_exception.connect(_failed, dispatch_uid="requests that failed are told once")
