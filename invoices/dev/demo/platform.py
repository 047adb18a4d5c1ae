"""The platform's side: signed webhooks over HTTP, and buyers who open the claim page."""

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
    """`patience`: seconds for which a sender goes on after a 5xx or no answer, with the same webhook-id and body."""

    def __init__(self, api: str, *, patience: float = 0.0) -> None:
        self.api, self.patience = api, patience
        self.signer = Webhook(next(iter(settings.WEBHOOK_SECRETS["internal"].values())))
        self.unheard: Counter[str] = Counter()  # answers after which it was sent again

    def live(self, orders: list[Order], done: Callable[[], None], *, rate: float = 0.0, at_once: int = AT_ONCE) -> None:
        """Everything that happens outside of us in that day; `done` after each order. `rate`: orders a second."""
        asyncio.run(self._live(orders, done, rate, at_once))

    async def _live(self, orders: list[Order], done: Callable[[], None], rate: float, at_once: int) -> None:
        gate = asyncio.Semaphore(at_once)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=at_once)) as session:

            async def one(at: int, order: Order) -> None:
                await asyncio.sleep(at / rate if rate else 0)
                async with gate:
                    await self._order(session, order)
                    done()

            await asyncio.gather(*(one(at, order) for at, order in enumerate(orders)))

    async def _order(self, session: aiohttp.ClientSession, order: Order) -> None:
        if order.request:  # the checkout's word may well be there before the payment's
            await self._send(session, f"req-{order.id}", "invoice_request.created", order.request)
        order.answer = await self._send(session, f"pay-{order.id}", "payment.succeeded", order.payment)
        order.claim_url = order.answer.get("claimUrl") or ""
        if order.refunded:
            await self._send(session, f"ref-{order.id}", "order.refunded", refund_body(order, clock.now()))
        order.claims = order.claims and order.answer.get("state") == "WAITING"
        if order.claims:
            token = urlsplit(order.claim_url).path.rsplit("/", 1)[-1]
            details = choose_buyer(random.Random(order.id))
            too_late = (409, 410) if self.patience else ()  # it was heard, and the answer was lost
            await self._insist(
                f"the claim of {order.id}",
                lambda: session.put(f"{self.api}/v1/api/claims/{token}", json=details),
                fine=(200, *too_late),
            )

    async def _send(self, session: aiohttp.ClientSession, key: str, kind: str, data: dict[str, Any]) -> dict[str, Any]:
        told = {"type": kind, "timestamp": datetime.now(UTC).isoformat(), "data": data}
        body = json.dumps(told, ensure_ascii=False)

        def post() -> Any:
            now = datetime.now(UTC)
            headers = {
                "Content-Type": "application/json",
                "webhook-id": key,
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": self.signer.sign(key, now, body),
            }
            return session.post(f"{self.api}/v1/api/webhooks/internal", data=body.encode(), headers=headers)

        return await self._insist(f"{kind} {key}", post, fine=(200, 202))

    async def _insist(self, what: str, call: Callable[[], Any], *, fine: tuple[int, ...]) -> dict[str, Any]:
        """The answer to a call, made again for as long as patience lasts. Raises RuntimeError where it ends."""
        until = time.monotonic() + self.patience
        while True:
            try:
                async with call() as answer:
                    if answer.status in fine:
                        return await answer.json(content_type=None)
                    told, heard = f"{answer.status}: {await answer.text()}", answer.status < 500
                    self.unheard[str(answer.status)] += 1
            except (aiohttp.ClientError, OSError) as error:
                told, heard = type(error).__name__, False
                self.unheard[told] += 1
            if heard or time.monotonic() > until:
                raise RuntimeError(f"{what} was answered {told[:500]}")
            await asyncio.sleep(random.uniform(0.5, 1.5))


def open_claims(orders: Iterable[Order]) -> list[Order]:
    return [o for o in orders if o.answer.get("state") == "WAITING" and not (o.claims or o.refunded)]
