"""One delivery over HTTP, and the event loop that does it. No database here.

Of an answer we keep its status and nothing else: what a server says must not be read back by whoever gave its address.
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
from webhooks.outbound.addresses import Forbidden, check_url, connector

log = get_logger(__name__)
LARGEST = 64 * 1024  # bytes of an answer that we listen to before we hang up
LONGEST_HOLD = 86400.0  # seconds that a Retry-After may ask for
CONNECTIONS = 2000


@dataclass(frozen=True, slots=True)
class Call:
    delivery_id: int
    endpoint_id: int
    taken_at: datetime  # whose turn this is: only it may write down how the call went
    attempt: int
    url: str
    event_id: str
    body: str
    secrets: Sequence[str]  # in clear, the newest first


@dataclass(frozen=True, slots=True)
class Outcome:
    call: Call
    status: int | None = None
    error: str = ""
    retry_after: float | None = None  # seconds

    @property
    def ok(self) -> bool:
        return not self.error


def signed(event_id: str, body: str, secrets: Sequence[str]) -> dict[str, str]:
    """Standard Webhooks headers. The time is the machine's, as receivers compare it with theirs."""
    now = datetime.now(UTC)
    signatures = [Webhook(secret).sign(event_id, now, body) for secret in secrets]
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
        "content-type": "application/json; charset=utf-8",
        "user-agent": "hoadon-webhooks/1",
    }


async def send(session: aiohttp.ClientSession, call: Call) -> Outcome:
    if not call.secrets:
        return Outcome(call, error="the endpoint has no live secret")
    try:
        url = check_url(call.url)
        headers = signed(call.event_id, call.body, call.secrets)
        async with session.post(
            url, data=call.body.encode(), headers=headers, allow_redirects=False, timeout=_patience()
        ) as response:
            await _listen(response)
    except Forbidden as error:
        return Outcome(call, error=str(error))
    except TimeoutError:
        return Outcome(call, error="no answer in time")
    except (aiohttp.ClientError, OSError) as error:
        refused = getattr(error, "os_error", None)
        told = str(refused) if isinstance(refused, Forbidden) else f"no answer: {type(error).__name__}"
        return Outcome(call, error=told)
    if 200 <= response.status < 300:
        return Outcome(call, response.status)
    told = "a redirect, which we do not follow" if 300 <= response.status < 400 else f"HTTP {response.status}"
    return Outcome(call, response.status, told, _seconds(response.headers.get("Retry-After", "")))


def start(call: Call, outcomes: "queue.Queue[Outcome]") -> None:
    """Send a delivery in the event loop's thread; its outcome is put into the caller's queue."""
    http_loop.start(lambda session: _send(session, call, outcomes))


async def _send(session: aiohttp.ClientSession, call: Call, outcomes: "queue.Queue[Outcome]") -> None:
    try:
        outcome = await send(session, call)
    except Exception as error:  # our own fault: the delivery must not hang
        log.exception("[webhookDeliveryBroke]", delivery=call.delivery_id)
        outcome = Outcome(call, error=f"our fault: {type(error).__name__}")
    outcomes.put(outcome)


def open_session() -> aiohttp.ClientSession:
    """Made inside the running loop. No proxy, no cookies, no redirect, a bound on all of it."""
    return aiohttp.ClientSession(
        connector=connector(limit=CONNECTIONS, keepalive_timeout=5),
        cookie_jar=aiohttp.DummyCookieJar(),
        max_line_size=8190,
        max_field_size=8190,
        auto_decompress=False,  # a small answer may not unpack into a large one
        trust_env=False,
    )


http_loop = HttpLoop("webhooks", open_session)


def _patience() -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=settings.WEBHOOK_TIMEOUT, sock_connect=settings.WEBHOOK_CONNECT_TIMEOUT)


async def _listen(response: aiohttp.ClientResponse) -> None:
    """Read what there is, so that the connection can be used again; a babbler is hung up on. The status counts."""
    heard = 0
    async for chunk in response.content.iter_any():
        heard += len(chunk)
        if heard > LARGEST:
            response.close()
            return


def _seconds(text: str) -> float | None:
    """A Retry-After of either kind, bounded."""
    if text.isascii() and text.isdecimal():
        return min(float(text[:9]), LONGEST_HOLD)
    try:
        wait = parsedate_to_datetime(text) - datetime.now(UTC)
    except (TypeError, ValueError):  # none, nonsense, or a time without a zone
        return None
    return min(max(wait, timedelta()).total_seconds(), LONGEST_HOLD)
