"""Deliveries in the API and the console: list, send again, test."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from config.base import clock
from tests import cast
from tests.api.client import ApiClient, problem
from tests.console.action_pages import action_url, perform, preview
from tests.webhooks.receivers import Receiver, receiving
from webhooks.models import WebhookDelivery, WebhookEndpoint
from webhooks.outbound.deliveries import deliver_due
from webhooks.outbound.events import write_test_delivery

pytestmark = pytest.mark.django_db
S = WebhookDelivery.State
HOUR = timedelta(hours=1)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def endpoint(merchant: Any = None, **overrides: Any) -> WebhookEndpoint:
    row = WebhookEndpoint.objects.create(merchant=merchant, **{"url": "https://hooks.example/h", **overrides})
    row.add_secret("1")
    return row


def list_ids(caller: ApiClient, query: str = "") -> list[str]:
    answer = caller.call("get", f"webhook-deliveries{query}")
    assert answer.status_code == 200, answer.content
    return [item["deliveryId"] for item in answer.json()["items"]]


def ids(*rows: WebhookDelivery) -> list[str]:
    return [str(row.pk) for row in rows]


# --- List -------------------------------------------------------------------------------------------------------------


def test_a_delivery_shows_its_result_and_a_single_one_its_body_too(receiver: Receiver) -> None:
    merchant = cast.seller()
    row = receiver.endpoint(merchant)
    invoice = cast.issued(merchant)
    receiver.answer = lambda _: (500, {})
    deliver_due()
    delivery, caller = WebhookDelivery.objects.get(), ApiClient(merchants=[merchant.code])
    (item,) = caller.call("get", "webhook-deliveries").json()["items"]
    due = item.pop("nextAttemptAt")
    assert item == {
        "deliveryId": str(delivery.pk),
        "endpointId": str(row.pk),
        "eventId": delivery.event_id,
        "type": "invoice.issued",
        "invoiceId": str(invoice.pk),
        "state": "pending",
        "attempts": 1,
        "lastStatus": 500,
        "lastError": "HTTP 500",
        "deliveredAt": None,
        "createdAt": item["createdAt"],
    }
    assert due > item["createdAt"]
    alone = caller.call("get", f"webhook-deliveries/{delivery.pk}").json()
    assert alone == {**item, "nextAttemptAt": due, "body": delivery.body}


def test_filters_apply_and_the_newest_come_first() -> None:
    one, other = endpoint(), endpoint()
    first, second, third = write_test_delivery(one), write_test_delivery(one), write_test_delivery(other)
    WebhookDelivery.objects.filter(pk=second.pk).update(state=S.DEAD)
    invoice = cast.issued()
    of_one, of_other = WebhookDelivery.objects.filter(invoice=invoice).order_by("endpoint_id")
    newest = sorted((of_one, of_other), key=lambda row: -row.pk)  # the deliveries of one event are written together
    caller = ApiClient()
    assert list_ids(caller) == ids(*newest, third, second, first)
    assert list_ids(caller, f"?endpointId={one.pk}") == ids(of_one, second, first)
    assert list_ids(caller, f"?endpointId={one.pk}&state=dead") == ids(second)
    assert list_ids(caller, f"?invoiceId={invoice.pk}") == ids(*newest)
    assert list_ids(caller, f"?invoiceId={invoice.pk}&endpointId={one.pk}&state=pending") == ids(of_one)
    assert list_ids(caller, f"?invoiceId={invoice.pk}&state=delivered") == []
    assert list_ids(caller, "?limit=2") == ids(*newest)
    assert list_ids(caller, f"?limit=2&cursor={newest[1].pk}") == ids(third, second)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=dead", "endpointId"),
        ("endpointId=1&state=lost", "state"),
        ("endpointId=x", "endpointId"),
        ("invoiceId=-1", "invoiceId"),
        ("invoiceId=9999999999999999999", "invoiceId"),
    ],
)
def test_an_invalid_filter_or_one_that_reads_too_much_is_refused(query: str, field: str) -> None:
    answer = ApiClient().call("get", f"webhook-deliveries?{query}")
    assert problem(answer)[0] == 422 and list(answer.json()["fields"]) == [field]


def test_a_merchant_sees_deliveries_to_its_own_endpoints_only() -> None:
    merchant = cast.seller()
    theirs, platform = write_test_delivery(endpoint(merchant)), write_test_delivery(endpoint())
    caller = ApiClient(merchants=[merchant.code])
    assert list_ids(caller) == ids(theirs)
    assert list_ids(caller, f"?endpointId={platform.endpoint_id}") == []
    assert problem(caller.call("get", f"webhook-deliveries/{platform.pk}")) == (404, "not_found")
    assert problem(caller.call("post", f"webhook-deliveries/{platform.pk}/replay", {})) == (404, "not_found")


def test_a_list_costs_the_same_queries_for_one_row_and_for_many() -> None:
    merchant = cast.seller()
    row = endpoint(merchant)
    for caller, cost in (
        (ApiClient(), 1),
        (ApiClient(merchants=[merchant.code]), 2),
    ):  # the visible endpoints, the rows
        for _ in range(3):
            write_test_delivery(row)
        with CaptureQueriesContext(connection) as queries:
            caller.call("get", "webhook-deliveries")
        assert len(queries) == cost


def many(like: WebhookDelivery, rows: int) -> None:
    """Copies: to an endpoint in a hundred each, one in fifty dead."""
    own = {
        "id": f"{like.pk} + n", "event_id": "'copy-' || n", "endpoint_id": "1000 + n % 100",
        "invoice_id": "(SELECT min(id) + n % 100 FROM invoices_invoice)",
        "state": "CASE n % 50 WHEN 0 THEN 'dead' ELSE 'delivered' END",
    }  # fmt: skip
    columns = [field.column for field in WebhookDelivery._meta.concrete_fields]
    values = ", ".join(own.get(column, f'"{column}"') for column in columns)
    names = ", ".join(f'"{column}"' for column in columns)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        cursor.execute(
            f"INSERT INTO webhooks_webhookdelivery ({names}) SELECT {values} FROM webhooks_webhookdelivery, "
            f"generate_series(1, {rows}) AS n WHERE id = {like.pk}"
        )
        cursor.execute("ANALYZE webhooks_webhookdelivery")


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("", "webhooks_webhookdelivery_pkey"),
        ("endpointId=1007", "deliveries_by_endpoint"),
        ("endpointId=1000&state=dead", "deliveries_dead"),
        ("invoiceId={invoice}", "webhooks_webhookdelivery_invoice"),
    ],
)
def test_each_filter_reads_its_index(query: str, index: str) -> None:
    endpoint()
    invoice = cast.issued()
    like = WebhookDelivery.objects.get()
    try:
        many(like, 10_000)
        with CaptureQueriesContext(connection) as queries:
            list_ids(ApiClient(), "?" + query.format(invoice=invoice.pk))
        (select,) = [q["sql"] for q in queries if 'FROM "webhooks_webhookdelivery"' in q["sql"]]
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {select}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
        assert index in plan and "Seq Scan" not in plan, plan
    finally:  # their endpoints and invoices do not exist
        WebhookDelivery.objects.exclude(pk=like.pk).delete()


# --- Send again -------------------------------------------------------------------------------------------------------


def test_a_delivery_is_sent_again_with_the_same_id(receiver: Receiver) -> None:
    delivery = write_test_delivery(receiver.endpoint())
    deliver_due()
    answer = ApiClient().call("post", f"webhook-deliveries/{delivery.pk}/replay", {})
    assert answer.status_code == 200
    item = answer.json()
    assert (item["state"], item["attempts"], item["deliveredAt"]) == ("pending", 0, None)
    deliver_due()
    assert receiver.ids == [delivery.event_id] * 2


@pytest.mark.parametrize("change", [{"disabled_reason": "gone"}, {"deleted_at": clock.now()}])
def test_nothing_is_sent_again_to_a_disabled_endpoint(change: dict[str, Any]) -> None:
    delivery = write_test_delivery(endpoint())
    WebhookDelivery.objects.update(state=S.DEAD)
    WebhookEndpoint.objects.update(**change)
    answer = ApiClient().call("post", f"webhook-deliveries/{delivery.pk}/replay", {})
    assert problem(answer) == (409, "disabled")
    assert WebhookDelivery.objects.get().state == S.DEAD


def test_deliveries_since_a_time_are_counted_and_then_sent_again(receiver: Receiver) -> None:
    row, other, start = receiver.endpoint(), receiver.endpoint(), clock.now()
    for hour in range(4):
        with clock.frozen(start + hour * HOUR):
            write_test_delivery(row)
            write_test_delivery(other)
    WebhookDelivery.objects.update(state=S.DEAD)
    newest = WebhookDelivery.objects.filter(endpoint=row).latest("created_at")
    WebhookDelivery.objects.filter(pk=newest.pk).update(state=S.DELIVERED)
    caller, path = ApiClient(), f"webhook-endpoints/{row.pk}/replay"

    def replay(**more: Any) -> Any:
        return caller.call("post", path, {"since": (start + HOUR).isoformat(), **more}).json()

    assert replay(dryRun=True) == {"acted": False, "count": 2}
    assert replay(dryRun=True, delivered=True) == {"acted": False, "count": 3}
    assert not WebhookDelivery.objects.filter(state=S.PENDING).exists()
    assert replay() == {"acted": True, "count": 2}
    assert WebhookDelivery.objects.filter(state=S.PENDING).count() == 2
    assert not WebhookDelivery.objects.filter(state=S.PENDING).exclude(endpoint=row).exists()
    with clock.frozen(start + 5 * HOUR):
        assert deliver_due() == 2
    assert replay(delivered=True) == {"acted": True, "count": 3}
    late = caller.call("post", path, {"since": (start + 9 * HOUR).isoformat()})
    assert late.json() == {"acted": False, "count": 0}


@pytest.mark.parametrize(
    "body", [{}, {"since": "yesterday"}, {"since": "2026-01-01T00:00:00Z", "dryrun": True}, {"since": None}]
)
def test_an_invalid_replay_sends_nothing(body: dict[str, Any]) -> None:
    row = endpoint()
    write_test_delivery(row)
    WebhookDelivery.objects.update(state=S.DEAD)
    assert problem(ApiClient().call("post", f"webhook-endpoints/{row.pk}/replay", body))[0] == 422
    assert WebhookDelivery.objects.get().state == S.DEAD


def test_a_disabled_endpoint_counts_but_sends_nothing() -> None:
    row = endpoint(disabled_reason="gone")
    write_test_delivery(row)
    caller, path, body = ApiClient(), f"webhook-endpoints/{row.pk}", {"since": "2026-01-01T00:00:00Z"}
    assert caller.call("post", f"{path}/replay", {**body, "dryRun": True}).json() == {"acted": False, "count": 1}
    assert problem(caller.call("post", f"{path}/replay", body)) == (409, "disabled")
    assert problem(caller.call("post", f"{path}/test", {})) == (409, "disabled")


def test_an_endpoint_that_is_enabled_again_gets_what_it_missed(receiver: Receiver) -> None:
    row = receiver.endpoint(disabled_reason="gone")
    cast.issued()
    assert deliver_due() == 0
    ApiClient().call("patch", f"webhook-endpoints/{row.pk}", {"disabledReason": ""})
    assert deliver_due() == 1
    assert receiver.values() == ["invoice.issued"]


# --- Test events ------------------------------------------------------------------------------------------------------


def test_a_test_event_is_delivered_like_all_others(receiver: Receiver) -> None:
    row, caller = receiver.endpoint(event_types=["invoice.failed"]), ApiClient()
    item = caller.call("post", f"webhook-endpoints/{row.pk}/test", {}).json()
    assert (item["type"], item["state"], item["invoiceId"]) == ("webhook.test", "pending", None)
    deliver_due()
    assert receiver.values() == ["webhook.test"] and receiver.rejected == 0
    assert caller.call("get", f"webhook-deliveries/{item['deliveryId']}").json()["state"] == "delivered"


# --- Console ----------------------------------------------------------------------------------------------------------


def as_one_of(client: Client, group: str) -> None:
    call_command("loaddata", "permissions", verbosity=0)
    user = User.objects.create_user(group, is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client.force_login(user)


def test_an_operator_finds_dead_deliveries_and_sends_them_again(client: Client) -> None:
    dead, fine = write_test_delivery(endpoint()), write_test_delivery(endpoint())
    off = write_test_delivery(endpoint(disabled_reason="gone"))
    WebhookDelivery.objects.exclude(pk=fine.pk).update(state=S.DEAD)
    as_one_of(client, "operator")
    listed = client.get("/admin/webhooks/webhookdelivery/?state__exact=dead").text
    assert dead.event_id in listed and fine.event_id not in listed
    shown, _ = preview(client, "replay", dead, off)
    assert "its endpoint is disabled" in shown
    assert "due now" in perform(client, "replay", dead, off)
    dead.refresh_from_db()
    off.refresh_from_db()
    assert (dead.state, dead.attempts, off.state) == (S.PENDING, 0, S.DEAD)


def test_support_sees_deliveries_and_has_no_button(client: Client) -> None:
    delivery = write_test_delivery(endpoint())
    WebhookDelivery.objects.update(state=S.DEAD)
    as_one_of(client, "support")
    assert "Send again" not in client.get("/admin/webhooks/webhookdelivery/").text
    assert client.get(action_url("replay", delivery)).status_code == 403
    assert WebhookDelivery.objects.get().state == S.DEAD
