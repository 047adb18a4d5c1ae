"""The platform's part: it sends signed webhooks over HTTP, and its buyers claim their invoices."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from django.conf import settings
from standardwebhooks.webhooks import Webhook

from config.base import clock
from invoices.dev.demo.day import Order, choose_buyer, refund_body

AT_ONCE = 16


class Platform:
    """`retry_seconds`: how long a call is repeated after a 5xx or no answer, with the same webhook-id and body."""

    def __init__(self, api: str, *, retry_seconds: float = 0.0) -> None:
        self.api, self.retry_seconds = api, retry_seconds
        self.signer = Webhook(next(iter(settings.WEBHOOK_SECRETS["internal"].values())))
        self.resent: Counter[str] = Counter()  # statuses and errors after which a call was repeated

    def play(self, orders: list[Order], done: Callable[[], None], *, rate: float = 0.0, at_once: int = AT_ONCE) -> None:
        """Send all events and claims of the orders. Calls `done` after each order. `rate`: orders a second."""
        asyncio.run(self._play(orders, done, rate, at_once))

    async def _play(self, orders: list[Order], done: Callable[[], None], rate: float, at_once: int) -> None:
        gate = asyncio.Semaphore(at_once)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=at_once)) as session:

            async def one(at: int, order: Order) -> None:
                await asyncio.sleep(at / rate if rate else 0)
                async with gate:
                    await self._play_order(session, order)
                    done()

            await asyncio.gather(*(one(at, order) for at, order in enumerate(orders)))

    async def _play_order(self, session: aiohttp.ClientSession, order: Order) -> None:
        if order.request:  # the checkout's request may arrive before the payment
            await self._send(session, f"req-{order.id}", "invoice_request.created", order.request)
        order.answer = await self._send(session, f"pay-{order.id}", "payment.succeeded", order.payment)
        order.claim_url = order.answer.get("claimUrl") or ""
        if order.refunded:
            await self._send(session, f"ref-{order.id}", "order.refunded", refund_body(order, clock.now()))
        order.claims = order.claims and order.answer.get("state") == "WAITING"
        if order.claims:
            token = urlsplit(order.claim_url).path.rsplit("/", 1)[-1]
            details = choose_buyer(random.Random(order.id))
            too_late = (409, 410) if self.retry_seconds else ()  # the first call succeeded and its answer was lost
            await self._call(
                f"the claim of {order.id}",
                lambda: session.put(f"{self.api}/v1/api/claims/{token}", json=details),
                expected=(200, *too_late),
            )

    async def _send(self, session: aiohttp.ClientSession, key: str, kind: str, data: dict[str, Any]) -> dict[str, Any]:
        event = {"type": kind, "timestamp": datetime.now(UTC).isoformat(), "data": data}
        body = json.dumps(event, ensure_ascii=False)

        def post() -> Any:
            now = datetime.now(UTC)
            headers = {
                "Content-Type": "application/json",
                "webhook-id": key,
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": self.signer.sign(key, now, body),
            }
            return session.post(f"{self.api}/v1/api/webhooks/internal", data=body.encode(), headers=headers)

        return await self._call(f"{kind} {key}", post, expected=(200, 202))

    async def _call(self, what: str, call: Callable[[], Any], *, expected: tuple[int, ...]) -> dict[str, Any]:
        """The JSON of an expected answer. Repeats the call for `retry_seconds`, then raises RuntimeError."""
        until = time.monotonic() + self.retry_seconds
        while True:
            try:
                async with call() as answer:
                    if answer.status in expected:
                        return await answer.json(content_type=None)
                    failure, final = f"{answer.status}: {await answer.text()}", answer.status < 500
                    self.resent[str(answer.status)] += 1
            except (aiohttp.ClientError, OSError) as error:
                failure, final = type(error).__name__, False
                self.resent[failure] += 1
            if final or time.monotonic() > until:
                raise RuntimeError(f"{what} was answered {failure[:500]}")
            await asyncio.sleep(random.uniform(0.5, 1.5))


def open_claims(orders: Iterable[Order]) -> list[Order]:
    return [o for o in orders if o.answer.get("state") == "WAITING" and not (o.claims or o.refunded)]
