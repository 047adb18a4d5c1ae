"""Intake: bodies that a careless parser or a missing lock would turn into a wrong invoice, or into none."""

import json
import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.test import Client

from config.base import clock
from invoices.lifecycle import State
from invoices.models import Invoice, InvoiceRequest, Payment
from invoices.opening import facts
from invoices.opening.conclude import apply_facts
from tests import cast
from webhooks.inbound import events, receiving
from webhooks.models import WebhookDelivery, WebhookEndpoint, WebhookEvent

pytestmark = pytest.mark.django_db
INTERNAL = "/v1/api/webhooks/internal"


def post(client: Client, body: bytes, **how: Any) -> Any:
    return client.post(INTERNAL, **cast.signed(body, **how))


def payment_body(**overrides: Any) -> bytes:
    return json.dumps(cast.event("payment.succeeded", cast.payment(cast.seller(), **overrides))).encode()


# --- A fractional quantity as a JSON number ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "price", "total"),
    [
        ("2.675", "100", 268),  # as a binary fraction it is less, and rounds to 267
        ("0.1", "1000000", 100_000),
        ("1.0050", "1000", 1005),
        ("0.2850", "100000", 28_500),
        ("3", "0.5", 2),  # a half is rounded up
        ("1.005", "333.3333", 335),
    ],
)
@pytest.mark.parametrize("again", [False, True])  # True: the event failed at first, and the sweep applies it
def test_a_fraction_in_json_is_the_decimal_number_that_was_written(
    client: Client, monkeypatch: pytest.MonkeyPatch, quantity: str, price: str, total: int, again: bool
) -> None:
    line = {"name": "Cam sành", "unit": "kg", "quantity": 0, "unitPrice": 0, "vatRate": "8%"}
    body = payment_body(lines=[line], total=total)
    body = body.replace(b'"quantity": 0', f'"quantity": {quantity}'.encode())
    body = body.replace(b'"unitPrice": 0', f'"unitPrice": {price}'.encode())
    with monkeypatch.context() as patch:
        if again:
            patch.setitem(events.EVENTS_OF_ROUTE["internal"], "payment.succeeded", lambda *_: 1 / 0)
        assert post(client, body).status_code == 202
    if again:
        with clock.frozen(clock.now() + timedelta(hours=1)):
            assert receiving.retry_failed() == 1
    invoice = Invoice.objects.get()
    (printed,) = invoice.bill["lines"]
    assert (invoice.total, printed["gross"]) == (total, total)
    assert Decimal(printed["quantity"]) == Decimal(quantity)
    assert Decimal(Payment.objects.get().body["lines"][0]["quantity"]) == Decimal(quantity)


# --- Bodies that are too deep or too long -----------------------------------------------------------------------------


@pytest.mark.parametrize("brackets", ["[]", "{}"])
@pytest.mark.parametrize("depth", [2_000, 100_000])
def test_a_body_that_is_nested_too_deeply_is_400_and_not_stored(client: Client, brackets: str, depth: int) -> None:
    opening = "[" if brackets == "[]" else '{"a":'
    nested = opening * depth + "0" + brackets[1] * depth
    answer = post(client, f'{{"type": "payment.succeeded", "data": {nested}}}'.encode())
    assert (answer.status_code, answer.json()["code"]) == (400, "not_json")
    assert "deep" in answer.json()["detail"]
    assert WebhookEvent.objects.count() == 0


def test_a_nested_detail_of_any_depth_is_kept_or_refused_and_never_tried_for_ever(client: Client) -> None:
    for depth in range(100, 1100, 50):
        body = payment_body(custom=0).replace(b'"custom": 0', b'"custom": ' + b"[" * depth + b"]" * depth)
        answer = post(client, body)
        assert (answer.status_code, answer.json().get("outcome")) in ((202, "opened"), (400, None), (422, None)), depth


@pytest.mark.parametrize("length", [40, 41, 200, 10_000])
def test_a_type_longer_than_its_column_is_refused_as_unknown_and_stored(client: Client, length: int) -> None:
    kind = "payment.succeeded" + "x" * (length - 17)
    answer = post(client, json.dumps({"type": kind, "data": {"orderId": "order-9"}}).encode(), webhook_id="long")
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "unknown_type", "type")
    event = WebhookEvent.objects.get()
    assert (event.status, event.type, event.order_id) == ("refused", kind[:40], "order-9")
    assert json.loads(event.body)["type"] == kind


def test_a_long_type_that_begins_like_a_known_one_is_not_taken_for_it(client: Client) -> None:
    """Not even when the sweep or an operator applies it again."""
    data = cast.payment(cast.seller())
    kind = "payment.succeeded".ljust(60)
    assert post(client, json.dumps(cast.event(kind, data)).encode()).status_code == 422
    assert receiving.replay_event(WebhookEvent.objects.get().pk).status == "refused"
    assert Invoice.objects.count() == 0


# --- An invoice that opens in an end state ----------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["invoice.expired", "invoice.cancelled"])
def test_an_invoice_that_opens_in_an_end_state_has_an_event(client: Client, end: str) -> None:
    """Its payment reached us after its claim window, or there was nothing to pay."""
    merchant = cast.seller(unclaimed="lapse")
    endpoint = WebhookEndpoint.objects.create(merchant=merchant, url="https://hooks.example/h")
    endpoint.add_secret("1")
    sale = cast.payment(merchant, paidAt=(clock.now() - timedelta(hours=3)).isoformat())
    if end == "invoice.cancelled":
        free = [{"name": "Quà tặng", "quantity": 1, "unitPrice": 0, "vatRate": "8%"}]
        sale = cast.payment(merchant, lines=free, total=0)
    assert post(client, json.dumps(cast.event("payment.succeeded", sale)).encode()).status_code == 202
    invoice, delivery = Invoice.objects.get(), WebhookDelivery.objects.get()
    assert invoice.state in (State.EXPIRED, State.CANCELLED)
    assert (delivery.type, delivery.invoice_id, delivery.endpoint_id) == (end, invoice.pk, endpoint.pk)
    data = json.loads(delivery.body)["data"]
    assert (data["state"], data["sourceId"], data["total"]) == (invoice.state, sale["orderId"], invoice.total)


def test_an_invoice_that_opens_to_wait_or_to_be_sent_has_no_event_yet(client: Client) -> None:
    for claim_window, state in ((120, State.WAITING), (0, State.QUEUED)):
        merchant = cast.seller(claim_window=claim_window)
        WebhookEndpoint.objects.create(merchant=merchant, url="https://hooks.example/h").add_secret("1")
        answer = post(client, json.dumps(cast.event("payment.succeeded", cast.payment(merchant))).encode())
        assert answer.json()["state"] == state
    assert WebhookDelivery.objects.count() == 0


# --- The lock of an order ---------------------------------------------------------------------------------------------


def conclude_at_once(first: Any, second: Any) -> tuple[str, str]:
    """The outcomes of two facts of one order: the second begins while the first one's transaction is open."""
    concluded = threading.Barrier(2)
    outcomes: dict[str, str] = {}
    errors: list[BaseException] = []

    def apply_first() -> None:
        try:
            with transaction.atomic():
                outcomes["first"] = apply_facts(*first, actor="test").outcome
                concluded.wait(30)
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_sleep(0.5)")  # long enough for the other, if nothing held it up
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    def apply_second() -> None:
        try:
            concluded.wait(30)
            outcomes["second"] = apply_facts(*second, actor="test").outcome
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=apply_first), threading.Thread(target=apply_second)]
    [thread.start() for thread in threads]
    [thread.join(60) for thread in threads]
    assert not errors, errors
    return outcomes["first"], outcomes["second"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("payment_first", [True, False])
def test_a_payment_and_its_refund_at_once_end_in_no_invoice_to_send(payment_first: bool) -> None:
    """Without the order's lock neither would see the other."""
    sale = cast.payment(cast.seller())
    payment, refund = facts.parse_payment(sale), (facts.parse_refund(cast.refund(sale)),)
    if payment_first:
        assert conclude_at_once(payment, refund) == ("opened", "exists")
    else:
        assert conclude_at_once(refund, payment) == ("stored", "opened")
    invoice = Invoice.objects.get()
    assert (invoice.state, invoice.refunded_amount) == (State.CANCELLED, sale["total"])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("payment_first", [True, False])
def test_a_payment_and_a_request_at_once_end_with_the_buyer_of_the_request(payment_first: bool) -> None:
    sale = cast.payment(cast.seller())
    payment, request = facts.parse_payment(sale), (facts.parse_request(cast.request(sale)),)
    conclude_at_once(*((payment, request) if payment_first else (request, payment)))
    invoice = Invoice.objects.get()
    assert (invoice.buyer.get("taxCode"), invoice.buyer_source) == (cast.COMPANY["taxCode"], "checkout")
    assert not InvoiceRequest.objects.filter(invoice=None).exists()


@pytest.mark.django_db(transaction=True)
def test_two_payments_of_one_order_at_once_open_one_invoice_and_the_other_is_noticed() -> None:
    sale = cast.payment(cast.seller())
    other = {**sale, "paymentId": "another", "lines": sale["lines"][:1], "total": 70_000}
    outcomes = conclude_at_once(facts.parse_payment(sale), facts.parse_payment(other))
    assert outcomes == ("opened", "exists")
    invoice = Invoice.objects.get()
    assert (invoice.total, invoice.tracings.filter(event_type="payment_conflict").count()) == (sale["total"], 1)


@pytest.mark.django_db(transaction=True)
def test_orders_do_not_wait_for_each_other() -> None:
    merchant = cast.seller()
    sale, other = cast.payment(merchant), cast.payment(merchant)
    with transaction.atomic():
        apply_facts(*facts.parse_payment(sale), actor="test")
        done: list[str] = []

        def apply_other() -> None:
            done.append(apply_facts(*facts.parse_payment(other), actor="test").outcome)
            connections.close_all()

        thread = threading.Thread(target=apply_other)
        thread.start()
        thread.join(20)
        assert done == ["opened"]
