"""The first byte decides: a failure before it is Unavailable, a failure after it is Uncertain."""

import asyncio
import socket
import time
from dataclasses import replace

import pytest

from invoices.providers.base import Limits, ProviderError, Unavailable, Uncertain
from invoices.providers.http import LAST_EXCHANGE, START_BY, Http, redact
from invoices.providers.viettel import Viettel
from tests.invoices.providers.wire import Scripted, http, run

HEADERS = {"Content-Type": "application/json", "Cookie": "access_token=vé-bí-mật".encode().hex()}


def limits(*, connect: float = 5, total: float = 5) -> Limits:
    return replace(Viettel.limits, connect=connect, total=total)


async def failure(client: Http, url: str, **times: float) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await client.post(f"{url}/x", b"{}", HEADERS, limits(**times))
    assert "access_token" not in repr(caught.value)
    assert caught.value.__cause__ is None
    return caught.value


def test_a_refused_connection_means_that_nothing_happened() -> None:
    async def journey() -> None:
        with socket.socket() as held:  # reserves a port on which no server listens
            held.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{held.getsockname()[1]}"
            async with Http() as client:
                assert isinstance(await failure(client, url), Unavailable)
            exchange = LAST_EXCHANGE.get()
            assert exchange and not exchange.sent

    run(journey())


def test_a_name_that_does_not_resolve_means_that_nothing_happened() -> None:
    async def journey() -> None:
        async with Http() as client:
            assert isinstance(await failure(client, "http://nha-cung-cap.invalid"), Unavailable)

    run(journey())


def test_a_failed_tls_handshake_means_that_nothing_happened() -> None:
    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(http("this is no TLS", 400))
        writer.close()

    async def journey() -> None:
        async with await asyncio.start_server(plain, "127.0.0.1", 0) as server, Http() as client:
            port = server.sockets[0].getsockname()[1]
            assert isinstance(await failure(client, f"https://127.0.0.1:{port}"), Unavailable)

    run(journey())


def test_a_timeout_while_waiting_for_a_connection_means_that_nothing_happened() -> None:
    async def journey() -> None:
        held = asyncio.Event()
        async with Scripted(held) as server, Http(connections=1) as client:
            first = asyncio.create_task(failure(client, server.url))
            await server.arrived.wait()
            second = await failure(client, server.url, connect=0.05)
            assert isinstance(second, Unavailable)
            assert second.code == "timeout"
            held.set()
            assert isinstance(await first, Uncertain)
            assert len(server.requests) == 1

    run(journey())


def test_a_connection_cut_after_the_request_leaves_us_uncertain() -> None:
    async def journey() -> None:
        async with Scripted(None) as server, Http() as client:
            assert isinstance(await failure(client, server.url), Uncertain)
            assert len(server.requests) == 1

    run(journey())


def test_a_reused_connection_that_is_cut_leaves_us_uncertain_and_is_not_tried_again() -> None:
    async def journey() -> None:
        async with Scripted(http({}), None, http({})) as server, Http() as client:
            await client.post(server.url, b"{}", HEADERS, limits())
            assert isinstance(await failure(client, server.url), Uncertain)
            assert len(server.requests) == 2, "the library sent a POST again"

    run(journey())


def test_no_answer_in_time_leaves_us_uncertain() -> None:
    async def journey() -> None:
        held = asyncio.Event()
        async with Scripted(held) as server, Http() as client:
            error = await failure(client, server.url, total=0.05)
            assert isinstance(error, Uncertain)
            assert error.code == "timeout"
            held.set()

    run(journey())


def test_the_time_of_a_call_counts_from_its_first_byte_not_from_its_wait_for_a_connection() -> None:
    async def journey() -> None:
        held = asyncio.Event()
        async with Scripted(held, logins=[]) as server, Http(connections=1) as client:
            first = asyncio.create_task(failure(client, server.url))
            await server.arrived.wait()
            server.answers.append(http({"errorCode": None}))
            second = asyncio.create_task(client.post(server.url, b"{}", HEADERS, limits(connect=30, total=5)))
            held.set()
            assert (await second).status == 200
            await first

    run(journey())


@pytest.mark.parametrize("status", [500, 501, 502, 503, 504])
def test_every_5xx_leaves_us_uncertain(status: int) -> None:
    async def journey() -> None:
        async with Scripted(http("<html>", status)) as server, Http() as client:
            error = await failure(client, server.url)
            assert isinstance(error, Uncertain)
            assert error.code == f"http_{status}"
            exchange = LAST_EXCHANGE.get()
            assert exchange and exchange.sent and exchange.status == status

    run(journey())


def test_too_many_requests_is_unavailable_with_retry_after() -> None:
    async def journey() -> None:
        async with Scripted(http("", 429, "Retry-After: 7\r\n"), http("", 429)) as server, Http() as client:
            error = await failure(client, server.url)
            assert isinstance(error, Unavailable)
            assert error.retry_after == 7
            error = await failure(client, server.url)
            assert isinstance(error, Unavailable)
            assert error.retry_after is None

    run(journey())


@pytest.mark.parametrize("body", [b"", b'{"errorCode": nu', b"<html>502</html>", b"[]", b"\xff\xfe"])
def test_a_body_that_is_not_an_object_leaves_us_uncertain(body: bytes) -> None:
    async def journey() -> None:
        async with Scripted(http(body)) as server, Http() as client:
            answer = await client.post(server.url, b"{}", HEADERS, limits())
            with pytest.raises(Uncertain):
                answer.json()

    run(journey())


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Le"],
    ids=["half a body", "not HTTP", "half a head"],
)
def test_an_answer_that_breaks_off_leaves_us_uncertain(answer: bytes) -> None:
    async def journey() -> None:
        async with Scripted(answer) as server, Http() as client:
            waiting = asyncio.create_task(failure(client, server.url, total=0.5))
            assert isinstance(await waiting, Uncertain)

    run(journey())


def test_an_answer_larger_than_the_cap_leaves_us_uncertain() -> None:
    async def journey() -> None:
        async with Scripted(http(b"x" * 5000)) as server, Http() as client:
            with pytest.raises(Uncertain, match="too_large"):
                await client.post(server.url, b"{}", HEADERS, limits(), cap=4096)

    run(journey())


def test_a_redirect_is_returned_and_not_followed() -> None:
    async def journey() -> None:
        async with Scripted(http("", 307, "Location: /elsewhere\r\n")) as server, Http() as client:
            assert (await client.post(server.url, b"{}", HEADERS, limits())).status == 307
            assert len(server.requests) == 1

    run(journey())


def test_a_call_that_starts_too_late_sends_not_one_byte() -> None:
    async def journey() -> None:
        async with Scripted() as server, Http() as client:
            START_BY.set(time.monotonic() - 1)
            error = await failure(client, server.url)
            await server.connected.wait()
            assert isinstance(error, Unavailable)
            assert error.code == "not_sent"
            assert server.requests == []

    run(journey())


def test_a_call_that_starts_in_time_may_finish_late() -> None:
    async def journey() -> None:
        held = asyncio.Event()
        async with Scripted(held) as server, Http() as client:
            START_BY.set(time.monotonic() + 30)
            call = asyncio.create_task(failure(client, server.url))
            await server.arrived.wait()
            held.set()
            assert isinstance(await call, Uncertain)

    run(journey())


def test_a_vendors_text_is_kept_without_personal_data() -> None:
    text = redact("MST '0319999997' của “Nguyễn Thị Hậu” (hau.nguyen@example.vn, +84 912 345 678) sai, mã 43")
    assert text == "MST • của • (•, •) sai, mã 43"
