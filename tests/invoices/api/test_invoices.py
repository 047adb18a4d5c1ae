"""Invoices over HTTP: opening, reading, replaying; invoice requests."""

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from config.base import clock
from invoices.lifecycle import State
from invoices.models import Invoice, InvoiceRequest, Payment
from invoices.opening.conclude import conclude
from invoices.upkeep.sweep import open_parked_payments
from merchants.models import ProviderAccount
from tests import cast
from tests.api.client import ApiClient, problem
from tests.claims.stages import with_files

pytestmark = pytest.mark.django_db


def sale(merchant: Any = None, **overrides: Any) -> dict[str, Any]:
    """The body that opens an invoice without a payment event."""
    body = cast.payment(merchant or cast.seller(), **overrides)
    del body["paymentId"]
    return body


# --- Opening ---------------------------------------------------------------------------------------------------------


def test_an_invoice_is_opened_without_a_payment_event() -> None:
    body = sale(buyer=cast.COMPANY)
    answer = ApiClient().call("post", "invoices", body)
    fields = answer.json()
    assert answer.status_code == 201
    assert (fields["sourceId"], fields["merchantId"]) == (body["orderId"], body["merchantId"])
    assert (fields["state"], fields["documentNo"], fields["kind"], fields["total"]) == (
        "WAITING",
        1,
        "original",
        110000,
    )
    assert (fields["net"], fields["vat"], fields["buyer"]) == (101852, 8148, cast.COMPANY)
    assert fields["lines"][0] == {
        "name": "Cà phê sữa đá", "unit": "ly", "quantity": "2", "vatRate": "8%", "net": 64815, "vat": 5185,
        "total": 70000,
    }  # fmt: skip
    assert fields["claimDeadline"].endswith("+07:00") and fields["createdAt"].endswith("+07:00")
    assert "/claims/" in fields["claimUrl"] and fields["number"] is None and fields["failure"] is None
    invoice = Invoice.objects.get(pk=fields["invoiceId"])
    assert invoice.tracings.get().actor == "api:tester"


def test_the_same_sale_twice_is_one_invoice_and_another_sale_is_a_conflict() -> None:
    caller, body = ApiClient(), sale(buyer=cast.COMPANY)
    first = caller.call("post", "invoices", body)
    again = caller.call("post", "invoices", {**body, "lines": [{**line, "discount": 0} for line in body["lines"]]})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["invoiceId"] == first.json()["invoiceId"]
    for change in (
        {"total": 100000, "discount": 10000},
        {"buyer": cast.PERSON},
        {"paymentMethod": "TM"},
        {"paidAt": (clock.now() - timedelta(minutes=1)).isoformat()},
        {"lines": [{**body["lines"][0], "name": "Trà đào"}, body["lines"][1]]},
    ):
        assert problem(caller.call("post", "invoices", {**body, **change})) == (409, "order_conflict")
    assert Payment.objects.count() == 1 and Invoice.objects.count() == 1


def test_an_order_opened_by_its_payment_returns_its_invoice() -> None:
    merchant = cast.seller()
    paid = cast.payment(merchant)
    invoice = cast.waiting(merchant, **paid)
    body = {name: value for name, value in paid.items() if name != "paymentId"}
    answer = ApiClient().call("post", "invoices", body)
    assert (answer.status_code, answer.json()["invoiceId"]) == (200, str(invoice.pk))
    assert Payment.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_eight_concurrent_calls_open_one_invoice() -> None:
    body, statuses = sale(), []

    def create() -> None:
        try:
            statuses.append(ApiClient().call("post", "invoices", body).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * 7 + [201]


def test_a_sale_of_a_merchant_that_cannot_issue_is_parked_and_opens_later() -> None:
    merchant = cast.seller()
    ProviderAccount.objects.update(is_active=False)
    caller, body = ApiClient(), sale(merchant)
    answer = caller.call("post", "invoices", body)
    assert answer.status_code == 202
    assert answer.json() == {
        "outcome": "parked", "parked": "account", "sourceId": body["orderId"], "merchantId": merchant.code,
    }  # fmt: skip
    assert caller.call("post", "invoices", body).status_code == 202
    ProviderAccount.objects.update(is_active=True)
    assert conclude(merchant.code, body["orderId"], actor="test").outcome == "opened"
    assert caller.call("post", "invoices", body).status_code == 200


def test_a_parked_sale_that_does_not_add_up_is_refused_and_may_be_posted_again() -> None:
    merchant = cast.seller()
    ProviderAccount.objects.update(is_active=False)
    caller, body = ApiClient(), sale(merchant)
    wrong = {**body, "lines": [{**line, "vatRate": None} for line in body["lines"]]}
    assert caller.call("post", "invoices", wrong).status_code == 202
    ProviderAccount.objects.update(is_active=True)
    assert problem(caller.call("post", "invoices", wrong))[0] == 422
    open_parked_payments()
    assert problem(caller.call("post", "invoices", wrong))[0] == 422
    assert caller.call("post", "invoices", body).status_code == 201


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"total": 110001}, "total"),
        ({"total": "110000"}, "total"),
        ({"paidAt": "2026-11-23T10:00:00"}, "paidAt"),
        ({"lines": []}, "lines"),
        ({"orderId": ""}, "orderId"),
        ({"orderId": "x" * 65}, "orderId"),
        ({"currency": "USD"}, "currency"),
        ({"buyer": {"kind": "company", "name": "A", "address": "B", "taxCode": "0100109107"}}, "buyer.taxCode"),
        ({"merchantId": None}, "merchantId"),
    ],
)
def test_a_sale_that_does_not_add_up_opens_nothing_and_names_the_field(change: dict[str, Any], field: str) -> None:
    answer = ApiClient().call("post", "invoices", sale() | change)
    assert problem(answer)[0] == 422 and list(answer.json()["fields"]) == [field]
    assert not Payment.objects.exists() and not Invoice.objects.exists()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "not_json"),
        (b"\xff", 400, "not_json"),
        (b'{"total": NaN}', 400, "not_json"),
        (b"[" * 100_000, 400, "not_json"),
        (rb'{"orderId": "a\u0000"}', 422, "invalid_text"),
        (rb'{"orderId": "\ud800"}', 422, "invalid_text"),
        (b"[]", 422, "invalid"),
        (b'"' + b"x" * (1024 * 1024) + b'"', 413, "too_large"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(body: bytes, status: int, code: str) -> None:
    assert problem(ApiClient().call("post", "invoices", body)) == (status, code)


def test_other_media_than_json_and_other_methods_are_refused() -> None:
    caller = ApiClient()
    form = caller.post("/v1/api/invoices", "a=b", content_type="application/x-www-form-urlencoded")
    assert problem(form) == (415, "unsupported_media_type")
    answer = caller.call("delete", "invoices")
    assert problem(answer) == (405, "method_not_allowed")
    assert "POST" in answer["Allow"]


def test_decimals_are_stored_exactly() -> None:
    line = b'{"name": "Thit", "quantity": 0.1, "unitPrice": 3000000.0001, "vatRate": "KCT"}'
    paid = clock.now().isoformat().encode()
    body = (
        b'{"merchantId": "%s", "orderId": "o", "paidAt": "%s", "paymentMethod": "CK", "pricesIncludeVat": true,'
        b' "lines": [%s], "total": 300000}' % (cast.seller().code.encode(), paid, line)
    )
    caller = ApiClient()
    assert caller.call("post", "invoices", body).status_code == 201
    assert caller.call("post", "invoices", body).status_code == 200
    assert Payment.objects.get().body["lines"][0]["unitPrice"] == "3000000.0001"


def test_a_caller_who_may_not_read_invoices_gets_no_buyer() -> None:
    body = sale(buyer=cast.COMPANY)
    answer = ApiClient("invoice.issue").call("post", "invoices", body)
    assert answer.status_code == 201 and "buyer" not in answer.json()


# --- One invoice -----------------------------------------------------------------------------------------------------


def test_an_invoice_has_its_audit_its_attempts_and_its_files(media: Path) -> None:
    invoice, caller = with_files(cast.issued(number="12")), ApiClient()
    path = f"invoices/{invoice.pk}"
    fields = caller.call("get", path).json()
    assert (fields["state"], fields["number"], fields["code"]) == ("ISSUED", "12", invoice.code)
    tracings = caller.call("get", f"{path}/tracings?limit=2").json()
    assert [t["seq"] for t in tracings["items"]] == [1, 2] and tracings["nextCursor"] == "2"
    rest = caller.call("get", f"{path}/tracings?cursor=2").json()["items"]
    assert rest[-1]["eventType"] == "issued" and rest[-1]["after"]["state"] == "ISSUED"
    (attempt,) = caller.call("get", f"{path}/issuances").json()["items"]
    assert (attempt["attempt"], attempt["outcome"], attempt["provider"]) == (1, "issued", "viettel")
    pdf = caller.call("get", f"{path}/files/pdf")
    assert (pdf.status_code, pdf["Content-Type"]) == (200, "application/pdf")
    assert b"".join(pdf.streaming_content)
    assert problem(caller.call("get", f"invoices/{cast.waiting().pk}/files/xml")) == (404, "not_found")


@pytest.mark.parametrize("key", ["9" * 19, "0", "x", "1.5", "%00"])
def test_a_key_that_no_invoice_can_have_is_not_found(key: str) -> None:
    assert problem(ApiClient().call("get", f"invoices/{key}")) == (404, "not_found")


def test_a_replay_with_dry_run_reports_what_it_would_do_and_changes_nothing() -> None:
    invoice, caller = cast.failed(), ApiClient(sub="thu")
    path = f"invoices/{invoice.pk}/replay"
    answer = caller.call("post", path, {"reason": "the vendor was down", "dryRun": True})
    assert answer.json() == {"acted": True, "state": "QUEUED", "why": "no provider knows it: it is sent again"}
    assert Invoice.objects.get(pk=invoice.pk).state == State.FAILED
    assert caller.call("post", path, {"reason": "the vendor was down"}).json()["state"] == "QUEUED"
    last = Invoice.objects.get(pk=invoice.pk).tracings.last()
    assert last and (last.event_type, last.actor, last.reason) == ("replayed", "api:thu", "the vendor was down")


@pytest.mark.parametrize(("build", "acted"), [(cast.issued, False), (cast.sending, False), (cast.queued, True)])
def test_a_replay_is_idempotent(build: Callable[[], Invoice], acted: bool) -> None:
    path, caller = f"invoices/{build().pk}/replay", ApiClient()
    for _ in range(2):
        answer = caller.call("post", path, {"reason": "again"})
        assert (answer.status_code, answer.json()["acted"]) == (200, acted)


def test_a_replay_that_cannot_help_is_a_conflict_and_one_without_a_reason_is_refused() -> None:
    path, caller = f"invoices/{cast.waiting().pk}/replay", ApiClient()
    assert problem(caller.call("post", path, {"reason": "impatience"})) == (409, "wrong_state")
    for body in ({}, {"reason": " "}, {"reason": 5}, {"reason": "x", "dryRun": "yes"}, {"reason": "x", "dryrun": True}):
        assert problem(caller.call("post", path, body)) == (422, "invalid")


# --- Requests --------------------------------------------------------------------------------------------------------


def test_a_request_sets_the_buyer_once() -> None:
    invoice, caller = cast.waiting(), ApiClient()
    of = {"orderId": invoice.order_id, "merchantId": invoice.merchant.code}
    body = {
        **of, "requestId": "r-1", "requestedAt": clock.now().isoformat(), "source": "checkout", "buyer": cast.COMPANY,
    }  # fmt: skip
    first = caller.call("post", "invoice-requests", body)
    assert (first.status_code, caller.call("post", "invoice-requests", body).status_code) == (201, 200)
    assert first.json()["invoiceId"] == str(invoice.pk) and first.json()["buyer"] == cast.COMPANY
    other = {**body, "buyer": cast.PERSON}
    assert problem(caller.call("post", "invoice-requests", other)) == (409, "request_conflict")
    assert Invoice.objects.get(pk=invoice.pk).buyer == cast.COMPANY
    path = f"invoice-requests?merchantId={of['merchantId']}&sourceId={of['orderId']}"
    assert [request["requestId"] for request in caller.call("get", path).json()["items"]][0] == "r-1"
    assert problem(caller.call("get", f"invoice-requests?sourceId={of['orderId']}"))[1] == "filter_too_wide"
    assert caller.call("get", f"invoice-requests/{first.json()['invoiceRequestId']}").json()["tooLate"] is False


def test_a_request_after_the_first_send_is_stored_as_too_late() -> None:
    invoice = cast.sending()
    body = cast.request({"orderId": invoice.order_id, "merchantId": invoice.merchant.code}, source="api")
    assert ApiClient().call("post", "invoice-requests", body).json()["tooLate"] is True
    assert InvoiceRequest.objects.filter(too_late=True).count() == 1
