"""Look-ups, files and probes: calls that change nothing at the vendor."""

import base64
import json
from datetime import date
from typing import Any

import pytest

from invoices.providers.base import Found, ProviderError, Refused, Scope, Unavailable
from tests.invoices.providers.wire import (
    REFERENCE,
    TAX_CODE,
    Scripted,
    answer_of,
    http,
    run,
    sample,
    viettel,
)


def test_a_look_up_returns_what_the_vendor_knows() -> None:
    async def journey() -> None:
        async with Scripted(answer_of("search_found")) as server, viettel(server.url) as provider:
            assert await provider.find(REFERENCE) == Found(
                number="123",
                symbol="C26TAA",
                code="00A1B2C3D4E5F60718293A4B5C6D7E8F90",
                lookup_code="K7M2PQ9XW4TZ0AB",
                lookup_url="https://vinvoice.viettel.vn/utilities/invoice-search",
                issued_on=date(2026, 11, 23),
                seller_tax_code=TAX_CODE,
            )
            head, _, body = server.requests[0].partition(b"\r\n\r\n")
            assert b"application/x-www-form-urlencoded" in head
            assert body.decode() == sample("search_found")["request"]["body"]

    run(journey())


def test_a_rejection_by_the_tax_authority_is_reported_without_the_buyer() -> None:
    async def journey() -> None:
        async with Scripted(answer_of("search_rejected")) as server, viettel(server.url) as provider:
            found = await provider.find(REFERENCE)
            assert found
            assert (found.rejected, found.code) == ("MST người mua • không tồn tại", "")

    run(journey())


@pytest.mark.parametrize("answer", [answer_of("search_not_found"), http({"errorCode": None, "result": []})])
def test_only_a_positive_not_found_is_none(answer: bytes) -> None:
    async def journey() -> None:
        async with Scripted(answer) as server, viettel(server.url) as provider:
            assert await provider.find(REFERENCE) is None

    run(journey())


@pytest.mark.parametrize(
    "answer",
    [
        http({}),
        http({"errorCode": None, "result": None}),
        http({"errorCode": "INVOICE_NOT_FOUND"}),
        http({"errorCode": None, "result": [{"invoiceNo": "C26TAA1"}, {"invoiceNo": "C26TAA2"}]}),
        http({"errorCode": None, "result": [{"invoiceNo": None}]}),
        http({"errorCode": None, "result": []}, 404),
        http("", 404),
        http("", 500),
        http("", 429),
        http("<html>"),
        None,
    ],
)
def test_a_look_up_that_fails_proves_nothing(answer: bytes | None) -> None:
    async def journey() -> None:
        async with Scripted(answer) as server, viettel(server.url) as provider:
            with pytest.raises(ProviderError):
                await provider.find(REFERENCE)

    run(journey())


def test_files_are_decoded_and_unpacked() -> None:
    async def journey() -> None:
        async with Scripted(answer_of("file_pdf"), answer_of("file_zip")) as server, viettel(server.url) as provider:
            files = await provider.files(Found(number="123", symbol="C26TAA"))
            assert files.pdf.startswith(b"%PDF")
            assert files.xml == b'<HDon><DLHDon Id="HD123"/></HDon>'
            sent = [json.loads(request.partition(b"\r\n\r\n")[2]) for request in server.requests]
            assert sent == [sample("file_pdf")["request"]["body"], sample("file_zip")["request"]["body"]]

    run(journey())


@pytest.mark.parametrize(
    "answers",
    [
        [answer_of("file_not_ready")],
        [http({"errorCode": 200, "fileToBytes": ""})],
        [http({"errorCode": 200, "fileToBytes": "không phải"})],
        [http("", 500)],
        [None],
        [http({"errorCode": "A_CODE_OF_TOMORROW"})],
        [answer_of("file_pdf"), http({"errorCode": 200, "fileToBytes": base64.b64encode(b"no zip").decode()})],
        [answer_of("file_zip"), answer_of("file_zip")],
    ],
)
def test_files_that_cannot_be_fetched_are_unavailable(answers: list[bytes | None]) -> None:
    async def journey() -> None:
        async with Scripted(*answers) as server, viettel(server.url) as provider:
            with pytest.raises(Unavailable):
                await provider.files(Found(number="123", symbol="C26TAA"))

    run(journey())


@pytest.mark.parametrize(
    ("account", "code"),
    [
        ({}, None),
        ({"symbol": "C27TAA"}, "INVOICE_SERIAL_NOT_FOUND"),
        ({"template": "1/770"}, "TEMPLATE_NOT_FOUND"),
        ({"symbol": "C26TBB", "template": "2/001"}, "1517"),
    ],
)
def test_a_probe_names_what_is_wrong_with_the_symbol(account: dict[str, Any], code: str | None) -> None:
    async def journey() -> None:
        async with Scripted(answer_of("templates")) as server, viettel(server.url, **account) as provider:
            if code is None:
                await provider.probe()
                return
            with pytest.raises(Refused) as caught:
                await provider.probe()
            assert (caught.value.scope, caught.value.code) == (Scope.ACCOUNT, code)

    run(journey())


def test_a_probe_answered_with_500_mentions_the_whitelist() -> None:
    async def journey() -> None:
        async with Scripted(http("", 500)) as server, viettel(server.url) as provider:
            with pytest.raises(Unavailable, match="whitelist"):
                await provider.probe()

    run(journey())
