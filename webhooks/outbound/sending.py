"""One delivery over HTTP, and the event loop that does it. No database here.

Only the status of a response is kept. A user who may enter an address must not be able to read what a server returns.
"""

import queue
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import aiohttp
from django.conf import settings
from standardwebhooks.webhooks import Webhook
from structlog.stdlib import get_logger

from config.processes.http_loop import HttpLoop
from webhooks.outbound.addresses import Forbidden, check_url, public_connector

log = get_logger(__name__)
MAX_BODY = 64 * 1024  # bytes that are read of a response
MAX_RETRY_AFTER = 86400.0  # seconds
CONNECTIONS = 2000


@dataclass(frozen=True, slots=True)
class Call:
    delivery_id: int
    endpoint_id: int
    taken_at: datetime  # identifies this attempt: only its own result may be recorded
    attempt: int
    url: str
    event_id: str
    body: str
    secrets: Sequence[str]  # decrypted, newest first


@dataclass(frozen=True, slots=True)
class Result:
    call: Call
    status: int | None = None
    error: str = ""
    retry_after: float | None = None  # seconds

    @property
    def ok(self) -> bool:
        return not self.error


def sign(event_id: str, body: str, secrets: Sequence[str]) -> dict[str, str]:
    """Standard Webhooks headers. The time is the system clock's, because receivers compare it with their own."""
    now = datetime.now(UTC)
    signatures = [Webhook(secret).sign(event_id, now, body) for secret in secrets]
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
        "content-type": "application/json; charset=utf-8",
        "user-agent": "hoadon-webhooks/1",
    }


async def send(session: aiohttp.ClientSession, call: Call) -> Result:
    if not call.secrets:
        return Result(call, error="the endpoint has no live secret")
    try:
        url = check_url(call.url)
        headers = sign(call.event_id, call.body, call.secrets)
        async with session.post(
            url, data=call.body.encode(), headers=headers, allow_redirects=False, timeout=_timeout()
        ) as response:
            await _drain(response)
    except Forbidden as error:
        return Result(call, error=str(error))
    except TimeoutError:
        return Result(call, error="no response in time")
    except (aiohttp.ClientError, OSError) as error:
        refused = getattr(error, "os_error", None)
        why = str(refused) if isinstance(refused, Forbidden) else f"no response: {type(error).__name__}"
        return Result(call, error=why)
    if 200 <= response.status < 300:
        return Result(call, response.status)
    why = "a redirect, which is not followed" if 300 <= response.status < 400 else f"HTTP {response.status}"
    return Result(call, response.status, why, _retry_after(response.headers.get("Retry-After", "")))


def start_sending(call: Call, results: "queue.Queue[Result]") -> None:
    """Send a delivery in the event loop's thread. Its result is put into the caller's queue."""
    http_loop.start(lambda session: _send(session, call, results))


async def _send(session: aiohttp.ClientSession, call: Call, results: "queue.Queue[Result]") -> None:
    try:
        result = await send(session, call)
    except Exception as error:  # an internal error: the delivery must still get a result
        log.exception("[webhookDeliveryBroke]", delivery=call.delivery_id)
        result = Result(call, error=f"internal error: {type(error).__name__}")
    results.put(result)


def open_session() -> aiohttp.ClientSession:
    """Must be called in the running event loop. The session uses no proxy and no cookies, and its sizes are limited."""
    return aiohttp.ClientSession(
        connector=public_connector(limit=CONNECTIONS, keepalive_timeout=5),
        cookie_jar=aiohttp.DummyCookieJar(),
        max_line_size=8190,
        max_field_size=8190,
        auto_decompress=False,  # a small response must not decompress into a large one
        trust_env=False,
    )


http_loop = HttpLoop("webhooks", open_session)


def _timeout() -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=settings.WEBHOOK_TIMEOUT, sock_connect=settings.WEBHOOK_CONNECT_TIMEOUT)


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Read the body, so that the connection can be used again; close the connection if the body is too long."""
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > MAX_BODY:
            response.close()
            return


def _retry_after(text: str) -> float | None:
    """A Retry-After header of either kind in seconds, at most MAX_RETRY_AFTER; None if it is not valid."""
    if text.isascii() and text.isdecimal():
        return min(float(text[:9]), MAX_RETRY_AFTER)
    try:
        wait = parsedate_to_datetime(text) - datetime.now(UTC)
    except (TypeError, ValueError):  # absent, malformed, or a time without a zone
        return None
    return min(max(wait, timedelta()).total_seconds(), MAX_RETRY_AFTER)
