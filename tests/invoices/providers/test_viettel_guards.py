"""The adapter: no part of the vendor's answer that matters is lost."""

from datetime import date, datetime
from typing import Any

import pytest

from config.base import clock
from invoices.issuing.decide.conflicts import mismatch
from invoices.providers.base import Refused, Scope
from invoices.providers.viettel.refusals import ERRORS
from tests.invoices.providers.wire import (
    REFERENCE,
    TAX_CODE,
    Scripted,
    document,
    http,
    refusal,
    run,
    viettel,
)

WRONG_LOGIN = "INVALID_USER_PASSWORD"
DAY = date(2026, 9, 15)


def milliseconds(*at: int) -> int:
    return int(datetime(2026, 9, *at, tzinfo=clock.VIETNAM).timestamp() * 1000)


# --- A wrong password: the account waits for a probe, not for a trial invoice -----------------------------------------


def test_only_a_wrong_password_is_a_failure_of_the_login() -> None:
    errors = {code: verdict(code, "text") for code, verdict in ERRORS.items()}
    assert [code for code, error in errors.items() if isinstance(error, Refused) and error.login] == [WRONG_LOGIN]


@pytest.mark.parametrize(
    "answer",
    [
        http({"code": 400, "message": WRONG_LOGIN, "data": "Sai mật khẩu"}, 400),
        http({"errorCode": WRONG_LOGIN, "description": "Sai mật khẩu", "result": None}),
    ],
    ids=["HTTP 400", "HTTP 200"],
)
def test_a_password_that_is_refused_when_the_invoice_is_sent_is_a_failure_of_the_login(answer: bytes) -> None:
    """It was changed while our token was still good."""

    async def journey() -> None:
        async with Scripted(answer) as server:
            error = await refusal(server)
            assert isinstance(error, Refused)
            assert (error.code, error.scope, error.login) == (WRONG_LOGIN, Scope.ACCOUNT, True)

    run(journey())


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize("body", [{"code": 400, "message": "USER_IS_LOCKED", "data": ""}, {}, "<html>", ""], ids=str)
def test_a_login_that_is_refused_is_a_failure_of_the_login_for_sends_look_ups_and_probes(
    status: int, body: Any
) -> None:
    async def journey() -> None:
        for call in ("issue", "find", "probe"):
            async with Scripted(logins=[http(body, status)]) as server, viettel(server.url) as provider:
                arguments: dict[str, Any] = {"issue": [document()], "find": [REFERENCE], "probe": []}
                with pytest.raises(Refused) as caught:
                    await getattr(provider, call)(*arguments[call])
                assert (caught.value.scope, caught.value.login) == (Scope.ACCOUNT, True)
                assert server.requests == []

    run(journey())


def test_a_code_of_the_account_that_is_not_its_login_does_not_count_as_one() -> None:
    async def journey() -> None:
        async with Scripted(http({"errorCode": "OUT_OF_INVOICE_NO", "description": ""})) as server:
            error = await refusal(server)
            assert isinstance(error, Refused) and (error.scope, error.login) == (Scope.ACCOUNT, False)

    run(journey())


# --- A look-up whose answer has no date -------------------------------------------------------------------------------


def found_row(**changes: Any) -> bytes:
    row = {"invoiceNo": "C26TAA123", "codeOfTax": "00A1", "supplierTaxCode": TAX_CODE, **changes}
    return http({"errorCode": None, "description": None, "result": [row]})


@pytest.mark.parametrize(
    "reported",
    [
        {},
        *({"issueDate": value} for value in (None, "", "soon", "2026-09-14T17:00:00", True, 1.5, -1, [], {})),
        {"issueDate": milliseconds(15) * 1000},  # in microseconds
    ],
    ids=str,
)
def test_a_look_up_without_a_readable_date_is_found_without_one_and_differs_in_nothing(reported: Any) -> None:
    async def journey() -> None:
        async with Scripted(found_row(**reported)) as server, viettel(server.url) as provider:
            found = await provider.find(REFERENCE)
            assert found and (found.number, found.symbol, found.issued_on) == ("123", "C26TAA", None)
            assert mismatch(found, document(issue_date=DAY)) == ""

    run(journey())


@pytest.mark.parametrize(
    ("reported", "day"),
    [
        (milliseconds(15, 0, 0), DAY),
        (milliseconds(15, 23, 59, 59) + 999, DAY),
        (str(milliseconds(15, 0, 0)), DAY),
        (milliseconds(14, 23, 59, 59) + 999, date(2026, 9, 14)),
        (milliseconds(16, 0, 0), date(2026, 9, 16)),
    ],
)
def test_a_date_is_the_day_in_viet_nam_and_another_day_than_ours_differs(reported: Any, day: date) -> None:
    async def journey() -> None:
        async with Scripted(found_row(issueDate=reported)) as server, viettel(server.url) as provider:
            found = await provider.find(REFERENCE)
            assert found and found.issued_on == day
            assert mismatch(found, document(issue_date=DAY)) == ("" if day == DAY else "issue date")

    run(journey())


@pytest.mark.parametrize("seller", [None, ""])
def test_a_look_up_without_a_seller_or_a_code_is_found_and_differs_in_nothing(seller: Any) -> None:
    async def journey() -> None:
        answer = found_row(supplierTaxCode=seller, codeOfTax=None)
        async with Scripted(answer) as server, viettel(server.url) as provider:
            found = await provider.find(REFERENCE)
            assert found and (found.seller_tax_code, found.code, found.buyer_tax_code, found.total) == (
                None,
                "",
                None,
                None,
            )
            assert mismatch(found, document()) == ""

    run(journey())
