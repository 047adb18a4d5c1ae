"""Signed payments over real HTTP. The load generator shares the cores with what it measures."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from merchants.models import Merchant
from tests import cast

CONCURRENCY = 32


@dataclass(frozen=True, slots=True)
class Sent:
    seconds: float
    latencies: list[float]  # seconds, one per payment


def pay(
    api: str, merchants: Sequence[Merchant], count: int, *, rate: float = 0.0, done: Callable[[], None] = lambda: None
) -> Sent:
    """Send `count` payments of the merchants in turn, `rate` a second (0: as fast as possible). Raises if one fails."""
    calls = [_signed(cast.payment(merchants[at % len(merchants)])) for at in range(count)]
    return asyncio.run(_send(f"{api}/v1/api/webhooks/internal", calls, rate, done))


async def _send(url: str, calls: list[tuple[bytes, dict[str, str]]], rate: float, done: Callable[[], None]) -> Sent:
    gate, latencies = asyncio.Semaphore(CONCURRENCY), []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONCURRENCY)) as session:

        async def one(at: int, body: bytes, headers: dict[str, str]) -> None:
            if rate:
                await asyncio.sleep(at / rate)
            async with gate:
                started = time.perf_counter()
                async with session.post(url, data=body, headers=headers) as answer:
                    if answer.status != 202:
                        raise RuntimeError(f"a payment was answered {answer.status}: {await answer.text()}")
                    await answer.read()
                latencies.append(time.perf_counter() - started)
                done()

        began = time.perf_counter()
        await asyncio.gather(*(one(at, *call) for at, call in enumerate(calls)))
        return Sent(time.perf_counter() - began, latencies)


def _signed(data: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
    """Sign before measuring: signing is the platform's work."""
    call = cast.signed(cast.event("payment.succeeded", data), webhook_id=f"bench-{data['orderId']}")
    return call["data"], {**call["headers"], "Content-Type": call["content_type"]}
