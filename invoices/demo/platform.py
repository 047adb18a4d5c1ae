"""The platform's side: signed webhooks over HTTP, and buyers who open the claim page."""

import asyncio
import json
import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from django.conf import settings
from standardwebhooks.webhooks import Webhook

from config import clock
from invoices.demo.day import Order, buyer, refund

AT_ONCE = 16


class Platform:
    def __init__(self, api: str) -> None:
        self.api = api
        self.signer = Webhook(settings.WEBHOOK_SECRETS["internal"][0])

    def live(self, orders: list[Order], done: Callable[[], None]) -> None:
        """Everything that happens outside of us in that day; `done` after each order."""
        asyncio.run(self._live(orders, done))

    async def _live(self, orders: list[Order], done: Callable[[], None]) -> None:
        gate = asyncio.Semaphore(AT_ONCE)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as session:

            async def one(order: Order) -> None:
                async with gate:
                    await self._order(session, order)
                    done()

            await asyncio.gather(*(one(order) for order in orders))

    async def _order(self, session: aiohttp.ClientSession, order: Order) -> None:
        if order.request:  # the checkout's word may well be there before the payment's
            await self._send(session, f"req-{order.id}", "invoice_request.created", order.request)
        order.answer = await self._send(session, f"pay-{order.id}", "payment.succeeded", order.payment)
        order.claim_url = order.answer.get("claimUrl") or ""
        if order.refunded:
            await self._send(session, f"ref-{order.id}", "order.refunded", refund(order, clock.now()))
        order.claims = order.claims and order.answer.get("state") == "WAITING"
        if order.claims:
            token = urlsplit(order.claim_url).path.rsplit("/", 1)[-1]
            details = buyer(random.Random(order.id))  # noqa: S311  (a story, not a secret)
            async with session.put(f"{self.api}/v1/api/claims/{token}", json=details) as answer:
                if answer.status != 200:
                    raise RuntimeError(f"the claim of {order.id} was answered {answer.status}: {await answer.text()}")

    async def _send(self, session: aiohttp.ClientSession, key: str, kind: str, data: dict[str, Any]) -> dict[str, Any]:
        now = datetime.now(UTC)
        body = json.dumps({"type": kind, "timestamp": now.isoformat(), "data": data}, ensure_ascii=False)
        headers = {
            "Content-Type": "application/json",
            "webhook-id": key,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self.signer.sign(key, now, body),
        }
        async with session.post(f"{self.api}/v1/api/webhooks/internal", data=body.encode(), headers=headers) as answer:
            told = await answer.json(content_type=None)
            if answer.status not in (200, 202):
                raise RuntimeError(f"{kind} {key} was answered {answer.status}: {told}")
            return told


def open_claims(orders: Iterable[Order]) -> list[Order]:
    return [o for o in orders if o.answer.get("state") == "WAITING" and not (o.claims or o.refunded)]
