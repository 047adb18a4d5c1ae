"""Incoming webhooks: the response to each kind of body, and that nothing is lost or half done."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from config.base import clock
from invoices.lifecycle import State
from invoices.models import Invoice, InvoiceRequest, Payment, Refund
from tests import cast
from webhooks.inbound import events, receiving
from webhooks.models import WebhookEvent

pytestmark = pytest.mark.django_db
INTERNAL, MERCHANT = "/v1/api/webhooks/internal", "/v1/api/webhooks/merchant"


def send(client: Client, kind: str, data: dict[str, Any], **how: Any) -> Any:
    return client.post(INTERNAL, **cast.signed(cast.event(kind, data), **how))


def rows() -> tuple[int, ...]:
    return tuple(model.objects.count() for model in (Invoice, Payment, Refund, InvoiceRequest))


def test_a_payment_opens_an_invoice_and_returns_its_claim_link(client: Client) -> None:
    data = cast.payment(cast.seller())
    answer = send(client, "payment.succeeded", data)
    invoice = Invoice.objects.get()
    assert answer.status_code == 202
    assert answer.json() == {
        "eventId": str(WebhookEvent.objects.get().pk),
        "outcome": "opened",
        "invoiceId": str(invoice.pk),
        "sourceId": data["orderId"],
        "state": "WAITING",
        "claimUrl": invoice.claim_url,
        "claimDeadline": (invoice.paid_at + timedelta(hours=2)).astimezone(clock.VIETNAM).isoformat(),
    }
    assert invoice.tracings.get().event_type == "opened"
    assert invoice.requests.get().source == "payment"
    assert invoice.history.get().history_type == "+"


def test_the_merchant_route_accepts_a_payment_with_its_own_secret(client: Client) -> None:
    body = cast.event("payment.succeeded", cast.payment(cast.seller()))
    assert client.post(MERCHANT, **cast.signed(body, route="merchant")).status_code == 202


def test_a_merchant_secret_is_rejected_on_the_internal_route(client: Client) -> None:
    body = cast.event("payment.succeeded", cast.payment(cast.seller()))
    assert client.post(INTERNAL, **cast.signed(body, route="merchant")).status_code == 401
    assert rows() == (0, 0, 0, 0)


def test_any_secret_of_the_list_is_accepted_and_its_label_is_stored(client: Client, settings: Any) -> None:
    call = cast.signed(cast.event("payment.succeeded", cast.payment(cast.seller())))
    settings.WEBHOOK_SECRETS = {
        **settings.WEBHOOK_SECRETS,
        "internal": {"new": cast.secret(), "old": settings.WEBHOOK_SECRETS["internal"]["1"]},
    }
    assert client.post(INTERNAL, **call).status_code == 202
    assert WebhookEvent.objects.get().secret_label == "old"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda call: call["headers"].update({"webhook-signature": "v1,AAAA"}),
        lambda call: call["headers"].update({"webhook-signature": "not a signature"}),
        lambda call: call["headers"].pop("webhook-signature"),
        lambda call: call["headers"].pop("webhook-id"),
        lambda call: call["headers"].update({"webhook-timestamp": "soon"}),
        lambda call: call.update(data=call["data"] + b" "),
        lambda call: call.update(data=b"\xff\xfe"),
    ],
)
def test_a_body_without_a_valid_signature_is_401_and_not_stored(client: Client, spoil: Any) -> None:
    call = cast.signed(cast.event("payment.succeeded", cast.payment(cast.seller())))
    spoil(call)
    answer = client.post(INTERNAL, **call)
    assert (answer.status_code, answer.json()["code"]) == (401, "signature")
    assert answer["Content-Type"] == "application/problem+json"
    assert WebhookEvent.objects.count() == 0 and rows() == (0, 0, 0, 0)


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_timestamp_more_than_five_minutes_off_is_401(client: Client, minutes: int) -> None:
    at = datetime.now(UTC) + timedelta(minutes=minutes)
    answer = client.post(INTERNAL, **cast.signed(cast.event("payment.succeeded", cast.payment(cast.seller())), at=at))
    assert answer.status_code == 401
    assert "timestamp" in answer.json()["detail"].lower()
    assert rows() == (0, 0, 0, 0)


def test_the_same_id_with_the_same_body_gets_the_same_response_and_changes_nothing(client: Client) -> None:
    data = cast.payment(cast.seller())
    body = cast.event("payment.succeeded", data)
    first = client.post(INTERNAL, **cast.signed(body, webhook_id="one"))
    second = client.post(INTERNAL, **cast.signed(body, webhook_id="one"))
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.json() == second.json()
    assert rows() == (1, 1, 0, 1)


def test_the_same_id_with_another_body_is_409_and_changes_nothing(client: Client) -> None:
    merchant = cast.seller()
    send(client, "payment.succeeded", cast.payment(merchant), webhook_id="one")
    answer = send(client, "payment.succeeded", cast.payment(merchant), webhook_id="one")
    assert (answer.status_code, answer.json()["code"]) == (409, "webhook_id_reused")
    assert rows() == (1, 1, 0, 1)


def test_the_same_payment_with_another_id_returns_the_existing_invoice(client: Client) -> None:
    data = cast.payment(cast.seller())
    first = send(client, "payment.succeeded", data).json()
    second = send(client, "payment.succeeded", data).json()
    assert second["outcome"] == "exists"
    assert second["invoiceId"] == first["invoiceId"]
    assert rows() == (1, 1, 0, 1)


def test_a_second_payment_with_another_total_opens_nothing_and_is_audited(client: Client) -> None:
    data = cast.payment(cast.seller())
    send(client, "payment.succeeded", data)
    lines = [{**data["lines"][0], "quantity": 3}, data["lines"][1]]
    answer = send(client, "payment.succeeded", {**data, "paymentId": "other", "lines": lines, "total": 145000})
    assert answer.json()["outcome"] == "exists"
    invoice = Invoice.objects.get()
    assert invoice.total == 110000
    conflict = invoice.tracings.get(event_type="payment_conflict")
    assert "145000" in conflict.reason and "110000" in conflict.reason


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1]", b'"text"', b"{}", b'{"type": 7}', b'{"type": ""}', b'{"type":"x","a":NaN}']
)
def test_a_body_that_is_not_an_event_is_400_with_the_reason(client: Client, body: bytes) -> None:
    answer = client.post(INTERNAL, **cast.signed(body))
    assert answer.status_code == 400
    assert answer.json()["code"] in ("not_json", "no_type")
    assert answer.json()["detail"]


def test_an_unknown_type_is_422_lists_the_known_ones_and_is_stored(client: Client) -> None:
    answer = send(client, "payment.exploded", {"orderId": "order-9"})
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "unknown_type", "type")
    assert "payment.succeeded" in answer.json()["detail"]
    event = WebhookEvent.objects.get()
    assert (event.status, event.order_id) == ("refused", "order-9")


def test_a_payment_of_an_unknown_merchant_is_parked(client: Client) -> None:
    answer = send(client, "payment.succeeded", cast.payment("not-here-yet"))
    assert (answer.status_code, answer.json()["outcome"], answer.json()["parked"]) == (202, "parked", "merchant")
    assert Payment.objects.get().parked == "merchant"
    assert Invoice.objects.count() == 0


def test_lines_that_do_not_add_up_are_422_with_the_difference_and_are_stored_for_an_operator(client: Client) -> None:
    answer = send(client, "payment.succeeded", cast.payment(cast.seller(), total=110001))
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["field"]) == (422, "does_not_add_up", "total")
    assert "110" in problem["detail"] and "1" in problem["detail"]
    assert rows() == (0, 0, 0, 0)
    event = WebhookEvent.objects.get()
    assert event.status == "refused" and json.loads(event.body)["data"]["total"] == 110001


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"orderId": ""}, "orderId"),
        ({"orderId": "x" * 65}, "orderId"),
        ({"orderId": 7}, "orderId"),
        ({"paidAt": "yesterday"}, "paidAt"),
        ({"paidAt": "2026-11-23T10:00:00"}, "paidAt"),
        ({"paidAt": "2026-13-45T10:00:00+07:00"}, "paidAt"),
        ({"currency": "USD"}, "currency"),
        ({"pricesIncludeVat": "yes"}, "pricesIncludeVat"),
        ({"total": 110000.5}, "total"),
        ({"total": True}, "total"),
        ({"total": -1}, "total"),
        ({"lines": []}, "lines"),
        ({"lines": "none"}, "lines"),
        ({"lines": [{"name": "Trà", "quantity": 1, "unitPrice": 110000, "vatRate": "9%"}]}, "lines[0].vatRate"),
        ({"lines": [{"name": "Trà", "quantity": 1, "unitPrice": 110000}]}, "lines[0].vatRate"),
        ({"buyer": {**cast.COMPANY, "taxCode": "0100109107"}}, "buyer.taxCode"),
        ({"buyer": {**cast.COMPANY, "address": ""}}, "buyer.address"),
        ({"buyer": "Mai"}, "buyer.kind"),
    ],
)
def test_invalid_data_is_422_with_its_field_and_stores_no_fact(client: Client, change: Any, field: str) -> None:
    answer = send(client, "payment.succeeded", cast.payment(cast.seller(), **change))
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.json()
    assert answer.json()["detail"]
    assert rows() == (0, 0, 0, 0)
    assert WebhookEvent.objects.get().status == "refused"


def test_a_refused_event_that_is_sent_again_is_applied_again(client: Client) -> None:
    data = cast.payment("seller-of-tomorrow")
    merchant = cast.seller(code="seller-of-tomorrow", form="1")
    body = cast.event("payment.succeeded", {**data, "lines": [{**data["lines"][0], "vatRate": "7%"}], "total": 70000})
    assert client.post(INTERNAL, **cast.signed(body, webhook_id="again")).status_code == 422
    assert client.post(INTERNAL, **cast.signed(body, webhook_id="again")).status_code == 422
    assert WebhookEvent.objects.get().tries == 2
    assert merchant.invoices.count() == 0


def test_a_closed_event_that_is_sent_again_stays_closed_and_gets_the_same_response(client: Client) -> None:
    body = json.dumps(cast.event("payment.succeeded", cast.payment(cast.seller()))).encode()
    row = WebhookEvent.objects.create(  # refused by earlier rules; today's would open an invoice
        route="internal", webhook_id="again", body=body.decode(), body_sha256=hashlib.sha256(body).hexdigest(),
        status="refused", answer_status=422,
        answer={"code": "does_not_add_up", "field": "total", "detail": "It does not add up.", "eventId": "1"},
    )  # fmt: skip
    assert receiving.close_events([row.pk]) == [row.pk]
    answer = client.post(INTERNAL, **cast.signed(body, webhook_id="again"))
    assert (answer.status_code, answer.json()["code"]) == (422, "does_not_add_up")
    row.refresh_from_db()
    assert (row.status, row.tries) == ("closed", 1) and rows() == (0, 0, 0, 0)


def test_a_payment_of_nothing_opens_a_cancelled_invoice(client: Client) -> None:
    free = [{"name": "Quà tặng", "quantity": 1, "unitPrice": 0, "vatRate": "8%"}]
    answer = send(client, "payment.succeeded", cast.payment(cast.seller(), lines=free, total=0))
    assert (answer.json()["outcome"], answer.json()["state"]) == ("not_required", "CANCELLED")


def test_a_refund_cancels_a_waiting_invoice_and_one_before_its_payment_is_stored(client: Client) -> None:
    merchant = cast.seller()
    early, late = cast.payment(merchant), cast.payment(merchant)
    assert send(client, "order.refunded", cast.refund(early)).json()["outcome"] == "stored"
    assert send(client, "payment.succeeded", early).json()["state"] == "CANCELLED"
    send(client, "payment.succeeded", late)
    assert send(client, "order.refunded", cast.refund(late)).json()["state"] == "CANCELLED"


def test_a_request_from_the_checkout_gives_the_buyer_before_or_after_the_payment(client: Client) -> None:
    merchant = cast.seller()
    before, after = cast.payment(merchant), cast.payment(merchant)
    assert send(client, "invoice_request.created", cast.request(before)).json()["outcome"] == "stored"
    send(client, "payment.succeeded", before)
    send(client, "payment.succeeded", after)
    send(client, "invoice_request.created", cast.request(after))
    for invoice in Invoice.objects.all():
        assert (invoice.buyer["taxCode"], invoice.buyer_source) == ("0100109106", "checkout")


def test_an_event_with_an_internal_error_is_stored_and_applied_again(client: Client, monkeypatch: Any) -> None:
    data = cast.payment(cast.seller())
    with monkeypatch.context() as patch:
        patch.setitem(events.EVENTS_OF_ROUTE["internal"], "payment.succeeded", lambda *_: 1 / 0)
        answer = send(client, "payment.succeeded", data)
    assert (answer.status_code, answer.json()["outcome"]) == (202, "stored")
    assert rows() == (0, 0, 0, 0)
    with clock.frozen(clock.now() + timedelta(hours=1)):
        assert receiving.retry_failed() == 1
    assert WebhookEvent.objects.get().status == "done"
    assert Invoice.objects.get().state in (State.WAITING, State.QUEUED)


def test_a_lost_database_connection_is_503_with_retry_after(client: Client, monkeypatch: Any) -> None:
    def gone(*_: Any) -> None:
        raise OperationalError("the connection is lost")

    monkeypatch.setitem(events.EVENTS_OF_ROUTE["internal"], "payment.succeeded", gone)
    answer = send(client, "payment.succeeded", cast.payment(cast.seller()))
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")


def test_a_payment_costs_a_fixed_number_of_queries(client: Client, django_assert_num_queries: Any) -> None:
    merchant = cast.seller()
    send(client, "payment.succeeded", cast.payment(merchant))
    call = cast.signed(cast.event("payment.succeeded", cast.payment(merchant)))
    with django_assert_num_queries(20):
        assert client.post(INTERNAL, **call).status_code == 202
