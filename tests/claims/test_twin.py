"""The page's JSON twin: the contract's statuses, codes and shapes."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from invoices.models import Invoice
from tests import cast
from tests.claims.stages import claimed, overdue, partly_refunded, twin_path, with_files

pytestmark = pytest.mark.django_db


def put(client: Client, invoice: Invoice, body: Any, **more: Any) -> Any:
    return client.put(twin_path(invoice), body, content_type="application/json", **more)


def test_the_twin_shows_what_the_page_shows(client: Client) -> None:
    invoice = claimed()
    response = client.get(twin_path(invoice))
    body = response.json()
    assert (response.status_code, body["state"], body["editable"]) == (200, "QUEUED", True)
    assert (body["total"], body["vat"], body["net"]) == (110000, 8148, 101852)
    assert body["lines"][0]["total"] == 70000
    assert body["claimDeadline"].endswith("+07:00") and body["claimedAt"].endswith("+07:00")
    assert body["buyer"]["taxCode"] == "•••106"
    assert response["Cache-Control"] == "no-store"
    assert not [key for key in body if "_" in key]


def test_the_twin_of_an_issued_invoice_shows_number_code_and_files(client: Client, media: Path) -> None:
    invoice = with_files(cast.issued(number="1207"))
    body = client.get(twin_path(invoice)).json()
    assert (body["number"], body["code"], body["symbol"], body["form"]) == ("1207", invoice.code, "C26TAA", "1")
    assert client.get(body["files"]["xml"]).status_code == 200
    assert body["editable"] is False


def test_the_twin_claims_and_edits(client: Client) -> None:
    invoice = cast.waiting()
    response = put(client, invoice, {"buyer": cast.COMPANY})
    assert (response.status_code, response.json()["state"]) == (200, "QUEUED")
    assert put(client, invoice, cast.PERSON).json()["buyer"]["kind"] == "individual"
    assert Invoice.objects.get(pk=invoice.pk).buyer == cast.PERSON


@pytest.mark.parametrize(
    ("build", "status", "code"),
    [
        (overdue, 410, "closed"),
        (cast.sending, 409, "taken"),
        (cast.issued, 409, "taken"),
        (cast.failed, 409, "taken"),
        (partly_refunded, 409, "taken"),
    ],
)
def test_the_twin_refuses_a_late_claim(client: Client, build: Any, status: int, code: str) -> None:
    response = put(client, build(), {"buyer": cast.COMPANY})
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response["Content-Type"] == "application/problem+json"


def test_the_twin_names_every_wrong_field(client: Client) -> None:
    response = put(
        client, cast.waiting(), {"buyer": {"kind": "company", "name": "A", "taxCode": "123"}}, QUERY_STRING="lang=en"
    )
    assert (response.status_code, response.json()["code"]) == (422, "invalid_buyer")
    assert set(response.json()["fields"]) == {"taxCode", "address"}
    assert response.json()["fields"]["address"] == "Please fill this in."


@pytest.mark.parametrize("body", ["", "{", b"\xff", "[" * 100_000])
def test_the_twin_answers_400_to_invalid_json(client: Client, body: Any) -> None:
    response = client.put(twin_path(cast.waiting()), body, content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (400, "not_json")


@pytest.mark.parametrize("body", [[], 1, None, "x", {"buyer": 1}, {"buyer": {"kind": ["company"]}}])
def test_the_twin_answers_422_to_json_that_is_not_a_buyer(client: Client, body: Any) -> None:
    assert put(client, cast.waiting(), json.dumps(body)).status_code == 422


def test_the_twin_of_an_unknown_token_is_404(client: Client) -> None:
    for response in (
        client.get("/v1/api/claims/unknown"),
        client.put("/v1/api/claims/unknown", {}, content_type="application/json"),
    ):
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
