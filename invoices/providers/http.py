"""The one HTTP session of the event loop's thread, and the line between "surely not sent" and "perhaps done".

The line is the first byte: whatever fails before it is Unavailable, whatever fails after it is Uncertain.
aiohttp repeats a request on a dropped connection for idempotent methods only (`IDEMPOTENT_METHODS` in
aiohttp/client.py); a test holds it to that, because a POST repeated by a library is an invoice issued twice.
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
"""time.monotonic() after which no byte of a call may leave any more. The caller sets it; None means whenever."""

TRACEPARENT: ContextVar[str] = ContextVar("TRACEPARENT", default="")
"""W3C: which trace a call belongs to. The caller sets it."""

MEGABYTE = 1 << 20
T = TypeVar("T")
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)
_PERSONAL = re.compile(r"[\w.+-]+@[\w.-]+|\+?\d[\d .-]{6,}\d|\"[^\"]*\"|'[^']*'|“[^”]*”")


@dataclass(slots=True)
class Exchange:
    """What became of the last call of this task: no secret and no personal data in it.

    Read `LAST` in the task that called the adapter. `status` is 0 while nothing was answered;
    `code` and `text` are the vendor's, put here by the adapter.
    """

    sent: bool = False  # a first byte may have left
    status: int = 0
    code: str = ""
    text: str = ""


LAST: ContextVar[Exchange | None] = ContextVar("LAST", default=None)
_first_byte: ContextVar[Callable[[], None]] = ContextVar("_first_byte")


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body as an object, fractions as Decimal. Uncertain where it is none: a proxy's page, half a text."""
        try:
            value = json.loads(self.body, parse_float=Decimal)
        except ValueError:
            raise Uncertain("bad_body", f"HTTP {self.status}, {len(self.body)} bytes that are no JSON") from None
        if not isinstance(value, dict):
            raise Uncertain("bad_body", f"HTTP {self.status}, JSON but no object")
        return value


class ServerFault(Uncertain):
    """A 5xx, 503 too: a gateway says it as readily when the request got through."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"http_{answer.status}", "the provider's server failed")
        self.answer = answer


class _Request(ClientRequest):
    async def send(self, conn: aiohttp.connector.Connection) -> ClientResponse:
        # aiohttp calls this with the connection in hand, directly before it writes.
        _first_byte.get()()
        return await super().send(conn)


class Http:
    """Made inside the running loop, one for all accounts; `shared` keeps what adapters share (logins)."""

    def __init__(self, *, connections: int = 1024, keepalive: float = 10.0) -> None:
        self.shared: dict[Hashable, Any] = {}
        self._session = aiohttp.ClientSession(
            # A short keep-alive: a connection that the server has just closed costs us an Uncertain.
            connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=keepalive),
            request_class=_Request,
            cookie_jar=aiohttp.DummyCookieJar(),  # one merchant's cookie must not reach another's call
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
    ) -> Answer:
        """One POST, sent at most once; redirects are not followed. `cap` in bytes of answer.

        `limits.connect` bounds everything up to the first byte (the wait for a connection too),
        `limits.total` everything from it. Raises Unavailable (429 too) or Uncertain.
        """
        exchange = Exchange()
        LAST.set(exchange)
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
                    answer = Answer(response.status, await _read(response, cap))
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


async def reading(call: Awaitable[T]) -> T:
    """A call that changes nothing at the provider cannot have happened by half: Uncertain becomes Unavailable."""
    try:
        return await call
    except Uncertain as error:
        raise Unavailable(error.code, error.message) from None


def redacted(text: str, limit: int = 200) -> str:
    """A vendor's words without what looks like a person: addresses of e-mail, long numbers, quotations.

    Half characters and NUL, which JSON can carry and PostgreSQL cannot, become "?" and nothing.
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
