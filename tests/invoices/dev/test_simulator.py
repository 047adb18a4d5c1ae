"""The simulated vendor's rules, through the adapter: issues, refusals, and its admin API."""

import asyncio
import json
import socket
import urllib.request
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from config.base.clock import today_vn
from invoices.dev.simulator import Simulator
from invoices.providers.base import (
    Buyer,
    Document,
    Issued,
    RateTotal,
    Refused,
    Related,
    Scope,
    Unavailable,
)
from tests.invoices.providers.wire import REFERENCE, TAX_CODE, document, failure, reference, run, viettel

UNKNOWN = Related(form="1", symbol="C26TAA", number="9", issue_date=today_vn(), reason="Sai tên hàng")


def changed(index: int, **changes: Any) -> Document:
    lines = list(document().lines)
    lines[index] = replace(lines[index], **changes)
    return document(lines=tuple(lines))


def test_what_is_issued_is_found(simulator: Simulator) -> None:
    async def journey() -> None:
        async with viettel(simulator.url) as provider:
            await provider.probe()
            assert await provider.find(REFERENCE) is None
            issued = await provider.issue(document())
            assert isinstance(issued, Issued)
            invoice = await provider.find(REFERENCE)
            assert invoice
            assert (invoice.number, invoice.symbol, invoice.code) == (issued.number, issued.symbol, issued.code)
            assert (invoice.lookup_code, invoice.issued_on) == (issued.lookup_code, today_vn())

    run(journey())
    [row] = simulator.ledger()
    assert (row["transactionUuid"], row["total"], row["number"]) == (REFERENCE, 130000, 1)
    assert simulator.stats()["logins"] == 1


def test_fifty_accounts_of_one_user_log_in_once(simulator: Simulator) -> None:
    async def journey() -> None:
        async with viettel(simulator.url) as first:
            accounts = [type(first)(replace(first.account, id=number), first.http) for number in range(50)]
            assert await asyncio.gather(*(account.find(REFERENCE) for account in accounts)) == [None] * 50

    run(journey())
    assert simulator.stats()["logins"] == 1


def test_numbers_have_no_gap_with_300_concurrent_sends(simulator: Simulator) -> None:
    simulator.settings(latency=3)
    simulator.add_fault("drop-before", probability=0.1, endpoint="create")  # a login that fails would fail all
    simulator.add_fault("number-conflict", probability=0.1)

    async def journey() -> list[Any]:
        async with viettel(simulator.url) as provider:
            calls = (provider.issue(document(reference=reference(number))) for number in range(300))
            return await asyncio.gather(*calls, return_exceptions=True)

    numbers = [int(one.number) for one in run(journey()) if isinstance(one, Issued)]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    assert 150 < len(numbers) < 300
    summary = simulator.summary()
    assert (summary["duplicates"], summary["gaps"], summary["backwards"]) == ({}, 0, 0)


def test_dates_never_decrease_within_a_symbol(simulator: Simulator) -> None:
    today = today_vn()

    async def journey() -> None:
        async with viettel(simulator.url) as provider:
            await provider.issue(document(reference=reference(1), issue_date=today - timedelta(days=1)))
            await provider.issue(document(reference=reference(2), issue_date=today))
            error = await failure(provider, document(reference=reference(3), issue_date=today - timedelta(days=1)))
            assert isinstance(error, Refused)
            assert error.scope is Scope.DATE_ORDER
            error = await failure(provider, document(reference=reference(4), issue_date=today + timedelta(days=1)))
            assert isinstance(error, Unavailable)

    run(journey())
    assert [row["number"] for row in simulator.ledger()] == [1, 2]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (changed(0, net=100002), "43"),
        (changed(0, unit_price="33334"), "43"),
        (changed(0, vat=8001), "44"),
        (document(vat=10001, total=130001), "49"),
        (document(by_rate=(RateTotal(vat_rate="8%", net=100000, vat=8001),)), "49"),
        (document(net=120001, total=130001), "87"),
        (document(total=130002), "87"),
        (document(reference="ngắn"), "410"),
        (document(reference="6" * 37), "412"),
        (document(buyer=Buyer(legal_name="Ậm Ừ", tax_code="0319999997")), "INVOICE_VALID_INPUT_INVALID_BUYER_TAX_CODE"),
        (changed(0, name=""), "ITEM_NAME_NULL"),
        (document(kind="replacement", relates_to=UNKNOWN), "NOT_FOUND_DATA"),
    ],
)  # fmt: skip
def test_a_wrong_document_is_refused_with_the_scope_order(simulator: Simulator, sent: Document, code: str) -> None:
    async def journey() -> None:
        async with viettel(simulator.url) as provider:
            error = await failure(provider, sent)
            assert isinstance(error, Refused)
            assert (error.scope, error.code) == (Scope.ORDER, code)

    run(journey())
    assert simulator.ledger() == []


@pytest.mark.parametrize("tax_code", ["0318888884", "0318888884-001", "001199000001"])
def test_a_buyers_valid_tax_code_is_accepted(simulator: Simulator, tax_code: str) -> None:
    async def journey() -> None:
        async with viettel(simulator.url) as provider:
            await provider.issue(document(buyer=Buyer(legal_name="Ậm Ừ", tax_code=tax_code)))

    run(journey())


@pytest.mark.parametrize(
    ("tenant", "code"),
    [
        ({"certificateExpires": "2020-01-01"}, "CERTIFICATE_EXPIRED"),
        ({"series": [{"template": "1/001", "symbol": "C26TAA", "quota": 0}]}, "OUT_OF_INVOICE_NO"),
        ({"series": [{"template": "1/001", "symbol": "C26TAA", "active": False}]}, "1517"),
    ],
)
def test_an_account_that_cannot_issue_is_refused_with_the_scope_account(
    simulator: Simulator, tenant: dict[str, Any], code: str
) -> None:
    simulator.add_tenants([{"taxCode": TAX_CODE, **tenant}])

    async def journey() -> None:
        async with viettel(simulator.url) as provider:
            error = await failure(provider, document())
            assert isinstance(error, Refused)
            assert (error.scope, error.code) == (Scope.ACCOUNT, code)

    run(journey())


def admin(simulator: Simulator, path: str, payload: Any = None, method: str = "POST") -> Any:
    body = None if payload is None else json.dumps(payload).encode()
    request = urllib.request.Request(f"{simulator.url}/simulator/{path}", body, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def test_the_admin_api_sets_faults_tenants_and_settings(simulator: Simulator) -> None:
    admin(simulator, "tenants", [{"taxCode": "0318888884", "password": "x", "series": [{"symbol": "C26TCC"}]}])
    assert admin(simulator, "settings", {"latency": 1, "personality": "forgetful"})["personality"] == "forgetful"
    assert [rule["mode"] for rule in admin(simulator, "faults", {"mode": "429", "count": 1})] == ["429"]
    assert admin(simulator, "faults", method="DELETE") == []

    async def journey() -> None:
        async with viettel(simulator.url) as provider:
            await provider.issue(document())

    run(journey())
    assert [row["symbol"] for row in admin(simulator, "ledger", method="GET")] == ["C26TAA"]
    assert admin(simulator, "ledger?since=1", method="GET") == []
    assert admin(simulator, "ledger?summary", method="GET")["total"] == 130000
    assert admin(simulator, "stats", method="GET")["create"] == 1
    with pytest.raises(urllib.error.HTTPError):
        admin(simulator, "faults", {"mode": "nonsense"})


def test_a_port_that_is_taken_is_an_error(simulator: Simulator) -> None:
    with pytest.raises(OSError):
        Simulator(simulator.port).start()
    with socket.create_connection(("127.0.0.1", simulator.port)):
        pass
