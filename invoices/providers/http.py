"""The HTTP session of the event loop's thread. It distinguishes "not sent" from "may have been received".

The first byte decides: a failure before it is Unavailable, a failure after it is Uncertain.
aiohttp repeats a request on a dropped connection only for idempotent methods (`IDEMPOTENT_METHODS` in
aiohttp/client.py). A test checks this, because a POST that a library repeats can issue an invoice twice.
"""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self, TypeVar

import aiohttp
from aiohttp.client_reqrep import ClientRequest, ClientResponse

from invoices.providers.base import Limits, Unavailable, Uncertain

START_BY: ContextVar[float | None] = ContextVar("START_BY", default=None)
"""time.monotonic() after which a call may no longer start. The caller sets it; None: no limit."""

TRACEPARENT: ContextVar[str] = ContextVar("TRACEPARENT", default="")
"""W3C `traceparent` of the call. The caller sets it."""

MEGABYTE = 1 << 20
T = TypeVar("T")
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)
_PERSONAL = re.compile(r"[\w.+-]+@[\w.-]+|\+?\d[\d .-]{6,}\d|\"[^\"]*\"|'[^']*'|“[^”]*”")


@dataclass(slots=True)
class Exchange:
    """The last call of a task, without secrets and personal data.

    Read `LAST_EXCHANGE` in the task that called the adapter. `status` is 0 if there was no answer. The adapter sets
    `code` and `text`, which are the vendor's.
    """

    sent: bool = False  # a first byte may have left
    status: int = 0
    code: str = ""
    text: str = ""


LAST_EXCHANGE: ContextVar[Exchange | None] = ContextVar("LAST_EXCHANGE", default=None)
_first_byte: ContextVar[Callable[[], None]] = ContextVar("_first_byte")


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    status: int
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body as an object, fractions as Decimal. Raises Uncertain for a proxy's page or half a JSON text."""
        try:
            value = json.loads(self.body, parse_float=Decimal)
        except ValueError:
            raise Uncertain("bad_body", f"HTTP {self.status}, {len(self.body)} bytes that are not JSON") from None
        if not isinstance(value, dict):
            raise Uncertain("bad_body", f"HTTP {self.status}, JSON that is not an object")
        return value


class ServerFault(Uncertain):
    """A 5xx, including 503: a gateway may answer it although the vendor received the request."""

    def __init__(self, answer: HttpAnswer) -> None:
        super().__init__(f"http_{answer.status}", "the provider's server failed")
        self.answer = answer


class _Request(ClientRequest):
    async def send(self, conn: aiohttp.connector.Connection) -> ClientResponse:
        # aiohttp calls this when it has the connection, directly before it writes.
        _first_byte.get()()
        return await super().send(conn)


class Http:
    """One for all accounts, created inside the running loop. `shared` holds what adapters share: logins."""

    def __init__(self, *, connections: int = 1024, keepalive: float = 10.0) -> None:
        self.shared: dict[Hashable, Any] = {}
        self._session = aiohttp.ClientSession(
            # Short, because a connection that the server has just closed makes a call Uncertain.
            connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=keepalive),
            request_class=_Request,
            cookie_jar=aiohttp.DummyCookieJar(),  # one merchant's cookies must not be sent with another's calls
            timeout=_NO_TIMEOUT,
            trust_env=False,
        )

    async def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        limits: Limits,
        *,
        cap: int = MEGABYTE,
    ) -> HttpAnswer:
        """POST at most once, without following redirects. `cap`: the longest answer, in bytes.

        `limits.connect` bounds everything before the first byte, with the wait for a connection; `limits.total`
        everything after it. Raises Unavailable (also for 429) or Uncertain.
        """
        exchange = Exchange()
        LAST_EXCHANGE.set(exchange)
        loop = asyncio.get_running_loop()

        def first_byte() -> None:
            start_by = START_BY.get()
            if start_by is not None and time.monotonic() > start_by:
                raise Unavailable("not_sent", "too late to start this call")
            exchange.sent = True
            bound.reschedule(loop.time() + limits.total)

        if traceparent := TRACEPARENT.get():
            headers = {**headers, "traceparent": traceparent}
        _first_byte.set(first_byte)
        try:
            async with asyncio.timeout(limits.connect) as bound:
                async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                    exchange.status = response.status
                    answer = HttpAnswer(response.status, await _read(response, cap))
        except (aiohttp.ClientError, OSError) as error:
            # "from None": aiohttp's exceptions carry the request's headers, the token among them.
            raise _failure(exchange, error) from None
        if answer.status == 429:
            raise Unavailable("http_429", "too many requests", retry_after=_seconds(response))
        if answer.status >= 500:
            raise ServerFault(answer)
        return answer

    async def close(self) -> None:
        await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def read_only(call: Awaitable[T]) -> T:
    """Await a call that changes nothing at the provider: Uncertain becomes Unavailable."""
    try:
        return await call
    except Uncertain as error:
        raise Unavailable(error.code, error.message) from None


def redact(text: str, limit: int = 200) -> str:
    """A vendor's text without likely personal data: e-mail addresses, long numbers, quoted text.

    Lone surrogates become "?" and NUL is removed: JSON can hold them, PostgreSQL cannot.
    """
    whole = text.encode("utf-8", "replace").decode().replace("\0", "")
    return _PERSONAL.sub("•", whole)[:limit]


async def _read(response: ClientResponse, cap: int) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > cap:
            raise Uncertain("too_large", f"an answer of more than {cap} bytes")
    return bytes(body)


def _failure(exchange: Exchange, error: Exception) -> Unavailable | Uncertain:
    kind = "timeout" if isinstance(error, TimeoutError) else type(error).__name__
    if exchange.sent:
        return Uncertain(kind, "the connection failed after the request had begun to leave")
    return Unavailable(kind, "no connection")


def _seconds(response: ClientResponse) -> float | None:
    text = response.headers.get("Retry-After", "")
    return min(float(text), 3600.0) if text.isdecimal() else None
