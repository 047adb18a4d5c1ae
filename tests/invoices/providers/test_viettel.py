"""The adapter against recorded answers and a scripted server: logins and issuing."""

import asyncio
import json
import time
from dataclasses import replace
from datetime import date

import pytest

from invoices.providers.base import Issued, Refused, Scope, Submitted, Unavailable, Uncertain
from invoices.providers.http import LAST_EXCHANGE, START_BY
from tests.invoices.providers.wire import (
    REFERENCE,
    TAX_CODE,
    Scripted,
    answer_of,
    document,
    http,
    refusal,
    run,
    sample,
    viettel,
)


def test_the_last_exchange_has_the_code_and_the_redacted_text() -> None:
    async def journey() -> None:
        async with Scripted(answer_of("refused_http_400")) as server:
            error = await refusal(server)
            exchange = LAST_EXCHANGE.get()
        assert exchange
        assert (exchange.status, exchange.code) == (400, "INVOICE_VALID_INPUT_INVALID_BUYER_TAX_CODE")
        assert exchange.text == error.message == "Mã số thuế người mua • không hợp lệ"

    run(journey())


def test_a_success_with_a_code_is_issued() -> None:
    async def journey() -> None:
        async with Scripted(answer_of("issued")) as server, viettel(server.url) as provider:
            assert await provider.issue(document()) == Issued(
                number="123",
                symbol="C26TAA",
                code="00A1B2C3D4E5F60718293A4B5C6D7E8F90",
                lookup_code="K7M2PQ9XW4TZ0AB",
                lookup_url="https://vinvoice.viettel.vn/utilities/invoice-search",
            )

    run(journey())


def test_a_success_without_a_code_is_submitted() -> None:
    async def journey() -> None:
        async with Scripted(answer_of("issued_without_code")) as server, viettel(server.url) as provider:
            assert isinstance(await provider.issue(document()), Submitted)

    run(journey())


def test_a_symbol_that_needs_no_code_is_issued_without_one() -> None:
    result = {"invoiceNo": "K26TAA7", "codeOfTax": None}

    async def journey() -> None:
        async with (
            Scripted(http({"errorCode": None, "result": result})) as server,
            viettel(server.url, symbol="K26TAA") as provider,
        ):
            issued = await provider.issue(document(symbol="K26TAA"))
            assert (type(issued), issued.number) == (Issued, "7")

    run(journey())


@pytest.mark.parametrize(
    "body",
    [{}, {"errorCode": None, "result": None}, {"result": {}}, {"result": {"invoiceNo": "?"}}, {"result": [1]}],
)
def test_a_success_without_a_readable_number_is_uncertain(body: dict[str, object]) -> None:
    async def journey() -> None:
        async with Scripted(http(body)) as server:
            assert isinstance(await refusal(server), Uncertain)

    run(journey())


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422, 302])
def test_a_status_without_a_known_code_is_uncertain(status: int) -> None:
    async def journey() -> None:
        async with Scripted(http({}, status), http("<html>", status)) as server:
            assert isinstance(await refusal(server), Uncertain)
            assert isinstance(await refusal(server), Uncertain)

    run(journey())


def test_fifty_calls_at_once_log_in_once() -> None:
    async def journey() -> None:
        waiting = 50
        async with (
            Scripted(*[answer_of("search_not_found")] * waiting) as server,
            viettel(server.url) as provider,
        ):
            calls = [asyncio.create_task(provider.find(REFERENCE)) for _ in range(waiting)]
            assert await asyncio.gather(*calls) == [None] * waiting
            assert server.login_count == 1

    run(journey())


def test_a_401_causes_one_login_and_one_repetition() -> None:
    async def journey() -> None:
        answers = http({}, 401), answer_of("issued")
        async with Scripted(*answers) as server, viettel(server.url) as provider:
            assert isinstance(await provider.issue(document()), Issued)
            assert (server.login_count, len(server.requests)) == (2, 2)
            assert server.requests[0].partition(b"\r\n\r\n")[2] == server.requests[1].partition(b"\r\n\r\n")[2]

    run(journey())


def test_a_second_401_is_refused_with_the_scope_account() -> None:
    async def journey() -> None:
        async with Scripted(http({}, 401), http({}, 401)) as server:
            error = await refusal(server)
            assert isinstance(error, Refused)
            assert (error.scope, error.login) == (Scope.ACCOUNT, True)
            assert len(server.requests) == 2

    run(journey())


def test_a_500_that_may_mean_an_old_token_repeats_a_look_up_but_never_a_send() -> None:
    old = http({"code": 500, "message": "GENERAL", "error": "Internal Server Error"}, 500)

    async def journey() -> None:
        async with (
            Scripted(old, answer_of("search_found"), old) as server,
            viettel(server.url) as provider,
        ):
            assert await provider.find(REFERENCE)
            assert (server.login_count, len(server.requests)) == (2, 2)
            with pytest.raises(Uncertain):
                await provider.issue(document())
            assert len(server.requests) == 3

    run(journey())


def test_a_wrong_password_is_refused_with_the_scope_account_and_nothing_is_sent() -> None:
    async def journey() -> None:
        async with Scripted(logins=[answer_of("login_rejected")]) as server:
            error = await refusal(server)
            assert isinstance(error, Refused)
            assert (error.code, error.scope, error.login) == ("INVALID_USER_PASSWORD", Scope.ACCOUNT, True)
            assert server.requests == []

    run(journey())


@pytest.mark.parametrize(
    "login", [http("", 500), http("", 503), http("", 429), http("<html>"), http({}), http("", 404)]
)
def test_a_login_that_fails_otherwise_means_that_nothing_happened(login: bytes) -> None:
    async def journey() -> None:
        async with Scripted(logins=[login]) as server:
            assert isinstance(await refusal(server), Unavailable)
            assert server.requests == []

    run(journey())


def test_a_wrong_password_does_not_use_the_token_of_a_good_one() -> None:
    async def journey() -> None:
        async with (
            Scripted(answer_of("search_not_found")) as server,
            viettel(server.url) as provider,
        ):
            await provider.find(REFERENCE)
            server.logins = [answer_of("login_rejected")]
            stranger = type(provider)(
                type(provider.account)(
                    id=2,
                    base_url=server.url,
                    tax_code=TAX_CODE,
                    form="1",
                    symbol="C26TAA",
                    credentials={"username": TAX_CODE, "password": "sai"},
                ),
                provider.http,
            )
            with pytest.raises(Refused):
                await stranger.find(REFERENCE)

    run(journey())


def test_a_start_that_passes_during_the_login_means_that_nothing_was_sent() -> None:
    async def journey() -> None:
        async with Scripted(answer_of("search_not_found")) as server, viettel(server.url) as provider:
            START_BY.set(time.monotonic() - 1)
            with pytest.raises(Unavailable, match="not_sent"):
                await provider.issue(document())
            assert server.login_count == 1, "other callers share the login: a caller's deadline does not stop it"
            assert server.requests == []

    run(journey())


def test_the_request_is_the_recorded_one() -> None:
    async def journey() -> None:
        async with Scripted(answer_of("issued")) as server, viettel(server.url) as provider:
            await provider.issue(document(issue_date=date(2026, 11, 23)))
            head, _, body = server.requests[0].partition(b"\r\n\r\n")
            recorded = sample("issued")["request"]
            assert head.split()[1].decode() == recorded["path"]
            assert json.loads(body) == recorded["body"]

    run(journey())


def test_a_document_that_cannot_be_written_is_refused_before_anything_is_sent() -> None:
    lines = (replace(document().lines[0], vat_rate="7%"),)

    async def journey() -> None:
        async with Scripted() as server, viettel(server.url) as provider:
            with pytest.raises(Refused) as caught:
                await provider.issue(document(lines=lines))
            assert caught.value.scope is Scope.ORDER
            assert (server.login_count, server.requests) == (0, [])

    run(journey())
