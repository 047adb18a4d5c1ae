"""Outbound events: each type, from its cause, checked against the contract and openapi.json."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from jsonschema import Draft202012Validator

from config.base import clock
from config.rest.openapi import openapi_document
from invoices.audit import Event
from invoices.dev.simulator import Simulator
from invoices.issuing.pump import issue_due
from invoices.lifecycle import State
from invoices.models import Invoice
from invoices.moving import move
from invoices.opening import facts
from invoices.opening.claim_window import close_claim_windows
from invoices.opening.conclude import apply_facts
from invoices.operations.claim import claim
from merchants.models import Merchant
from tests import cast
from webhooks.models import WebhookDelivery, WebhookEndpoint
from webhooks.outbound.events import TYPES, write_test_delivery

pytestmark = pytest.mark.django_db

REQUIRED = {"invoiceId", "sourceId", "merchantId", "documentNo", "kind", "state", "occurredAt", "total"}
NUMBER = {"form", "symbol", "number", "issueDate", "lookupUrl"}
BUYER = {"kind": "individual", "name": "Nguyễn Thị Mai", "address": "5 Lê Lợi", "phone": "0901234567"}


def endpoint(merchant: Merchant | None = None, **overrides: Any) -> WebhookEndpoint:
    row = WebhookEndpoint.objects.create(merchant=merchant, **{"url": "https://hooks.example/h", **overrides})
    row.add_secret("1")
    return row


def bodies(row: WebhookEndpoint | None = None) -> list[dict[str, Any]]:
    """The bodies that were written, oldest first."""
    rows = WebhookDelivery.objects.order_by("id")
    return [json.loads(delivery.body) for delivery in (rows.filter(endpoint=row) if row else rows)]


def sent_types(row: WebhookEndpoint | None = None) -> list[str]:
    return [event["type"] for event in bodies(row)]


# --- One event of each type -------------------------------------------------------------------------------------------


def sent(provider: Simulator, *faults: str) -> Invoice:
    """An invoice that was sent to a provider with these faults."""
    merchant = cast.seller(url=provider.url)
    provider.add_tenants([cast.tenant(merchant)])
    for fault in faults:
        provider.add_fault(fault, seconds=60)
    invoice = cast.queued(merchant, buyer=cast.COMPANY)
    issue_due(invoice.partition)
    return Invoice.objects.get(pk=invoice.pk)


def claimed(_: Simulator) -> Invoice:
    return claim(cast.waiting().claim_token, BUYER)


def refunded(invoice: Invoice) -> Invoice:
    sale = {"orderId": invoice.order_id, "merchantId": invoice.merchant.code, "total": invoice.total}
    after = apply_facts(facts.parse_refund(cast.refund(sale)), actor="test").invoice
    assert after
    return after


def expired(_: Simulator) -> Invoice:
    invoice = cast.waiting(cast.seller(unclaimed="lapse"))
    with clock.frozen(invoice.claim_deadline):
        close_claim_windows(invoice.partition)
    return Invoice.objects.get(pk=invoice.pk)


def corrected(provider: Simulator, to: State) -> Invoice:
    return cast.move_to(sent(provider), to, Event.FACT_NOTED, actor="worker")


EVENTS: dict[str, tuple[Callable[[Simulator], Invoice], str, set[str]]] = {  # cause, state, further fields of the body
    "invoice.claimed": (claimed, "QUEUED", set()),
    "invoice.submitted": (lambda provider: sent(provider, "code-delayed"), "SUBMITTED", NUMBER),
    "invoice.issued": (sent, "ISSUED", {*NUMBER, "code"}),
    "invoice.failed": (lambda provider: sent(provider, "invalid-buyer-tax-code"), "FAILED", {"failure"}),
    "invoice.cancelled": (lambda _: refunded(cast.waiting()), "CANCELLED", set()),
    "invoice.expired": (expired, "EXPIRED", set()),
    "invoice.replaced": (lambda provider: corrected(provider, State.REPLACED), "REPLACED", {*NUMBER, "code"}),
    "invoice.adjusted": (lambda provider: corrected(provider, State.ADJUSTED), "ADJUSTED", {*NUMBER, "code"}),
    "invoice.correction_owed": (lambda provider: refunded(sent(provider)), "ISSUED", {*NUMBER, "code"}),
}


def test_every_type_is_tested_here() -> None:
    assert tuple(sorted(EVENTS)) == tuple(sorted(TYPES))


@pytest.mark.parametrize("kind", EVENTS)
def test_a_body_has_the_fields_of_the_contract_and_no_others(kind: str, provider: Simulator) -> None:
    cause, state, more = EVENTS[kind]
    endpoint(event_types=[kind])
    invoice = cause(provider)
    (body,) = bodies()
    validate(body)
    data = body["data"]
    assert (body["type"], body["timestamp"], set(body)) == (kind, data["occurredAt"], {"type", "timestamp", "data"})
    assert set(data) == REQUIRED | more
    expected = {
        "invoiceId": str(invoice.pk),
        "sourceId": invoice.order_id,
        "merchantId": invoice.merchant.code,
        "documentNo": 1,
        "kind": "original",
        "state": state,
        "total": 110000,
    }
    assert expected.items() <= data.items()
    at = datetime.fromisoformat(data["occurredAt"])
    assert at == invoice.updated_at and at.utcoffset() == timedelta(hours=7)
    if "number" in more:
        assert (data["form"], data["symbol"]) == ("1", "C26TAA") and data["number"].isdigit()
        assert data["issueDate"] == str(invoice.issue_date) and data["lookupUrl"].startswith("https://")
    if "code" in more:
        assert len(data["code"]) == 34
    if "failure" in more:
        assert data["failure"] == {"reason": "refused", "message": invoice.failure_message}


def test_a_correction_names_the_invoice_that_it_corrects() -> None:
    endpoint(event_types=["invoice.failed"])
    original = cast.issued()
    correction = cast.queued(original.merchant)
    own = {"kind": "adjustment", "document_no": 2, "relates_to": original, "order_id": original.order_id}
    Invoice.objects.filter(pk=correction.pk).update(**own)
    cast.move_to(correction, State.FAILED, Event.FAILED, actor="test", failure="bug")
    (body,) = bodies()
    validate(body)
    data = body["data"]
    assert (data["kind"], data["documentNo"], data["relatesTo"]) == ("adjustment", 2, str(original.pk))
    assert (data["sourceId"], data["failure"]) == (original.order_id, {"reason": "bug", "message": ""})


def test_no_body_contains_buyer_data(provider: Simulator) -> None:
    endpoint()
    claimed(provider)
    sent(provider, "invalid-buyer-tax-code")
    text = json.dumps(bodies(), ensure_ascii=False)
    for personal in (*BUYER.values(), *cast.COMPANY.values()):
        assert personal in ("individual", "company") or personal not in text


def test_a_test_event_is_about_no_invoice() -> None:
    row = endpoint(event_types=["invoice.issued"])
    delivery = write_test_delivery(row)
    (body,) = bodies()
    validate(body)
    assert (body["type"], body["data"]) == ("webhook.test", {"endpointId": str(row.pk)})
    assert delivery.event_id == f"test-{delivery.pk}"


def validate(body: dict[str, Any]) -> None:
    """Against the schema that openapi.json gives receivers."""
    api = json.loads(openapi_document())
    schemas = [way["post"]["requestBody"]["content"]["application/json"]["schema"] for way in api["webhooks"].values()]
    Draft202012Validator({"oneOf": schemas, "components": api["components"]}).validate(body)


# --- When and to which endpoints --------------------------------------------------------------------------------------


def test_an_event_that_is_rolled_back_is_not_sent() -> None:
    endpoint()
    with pytest.raises(RuntimeError), transaction.atomic():
        cast.failed()
        assert sent_types() == ["invoice.failed"]
        raise RuntimeError
    assert sent_types() == []


def test_internal_moves_cause_no_event() -> None:
    endpoint()
    cast.sending()
    assert sent_types() == []


def test_a_new_failure_reason_causes_another_event() -> None:
    endpoint()
    invoice = cast.failed()
    for failure in ("refused", "late"):
        cast.move_to(invoice, State.FAILED, Event.FAILED, actor="test", failure=failure)
    assert [event["data"]["failure"]["reason"] for event in bodies()] == ["refused", "late"]


def test_a_merchant_gets_events_of_its_own_invoices_and_the_platform_of_all() -> None:
    one, other = cast.seller(), cast.seller()
    theirs, platform = endpoint(one), endpoint()
    issued, failed = cast.issued(one), cast.failed(other)
    assert [event["data"]["invoiceId"] for event in bodies(theirs)] == [str(issued.pk)]
    assert [event["data"]["invoiceId"] for event in bodies(platform)] == [str(issued.pk), str(failed.pk)]


def test_every_endpoint_gets_an_event_with_the_same_id() -> None:
    for _ in range(3):
        endpoint()
    cast.issued()
    rows = WebhookDelivery.objects.all()
    assert len(rows) == 3 and len({(row.event_id, row.body) for row in rows}) == 1


def test_an_endpoint_gets_the_types_that_it_subscribed_to() -> None:
    row = endpoint(event_types=["invoice.cancelled", "invoice.correction_owed"])
    refunded(cast.issued())
    refunded(cast.waiting())
    assert sent_types(row) == ["invoice.correction_owed", "invoice.cancelled"]


def test_removed_endpoints_and_those_without_a_secret_get_nothing_and_disabled_ones_later() -> None:
    endpoint().delete()
    WebhookEndpoint.objects.create(url="https://hooks.example/h")
    disabled = endpoint(disabled_reason="moved")
    cast.issued()
    assert [row.endpoint for row in WebhookDelivery.objects.all()] == [disabled]


def test_a_move_without_an_event_costs_no_query_and_events_cost_the_same_for_any_number_of_rows() -> None:
    merchant = cast.seller()
    rows = [cast.queued(merchant).pk for _ in range(20)]

    def cost(rows: list[int], to: State, **changes: Any) -> int:
        with CaptureQueriesContext(connection) as queries:
            move(rows, cast.step_to(to, Event.FACT_NOTED, **changes), actor="test")
        return len(queries)

    no_endpoints = cost(rows[:1], State.QUEUED, attempts=1)
    endpoint(merchant)
    endpoint()
    assert cost(rows, State.QUEUED, attempts=2) == no_endpoints
    assert cost(rows, State.FAILED, failure="refused") == no_endpoints + 3  # one counts the failures
    assert WebhookDelivery.objects.count() == 40
