"""The address of a list accepts only the filters and the order that its page offers."""

import json
import re
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from config.monitoring.gauges import changelist_url
from tests import cast
from tests.invoices import invoice_history
from tests.invoices.admin.test_admin import sign_in_as
from webhooks.inbound import receiving
from webhooks.models import WebhookDelivery, WebhookEndpoint, WebhookEvent

pytestmark = pytest.mark.django_db
HIDDEN = [  # filters by which a hidden value could be guessed
    ("invoices_invoice", {"buyer__phone__startswith": "09"}),
    ("invoices_invoice", {"buyer__personalId": "001"}),
    ("invoices_invoice", {"claim_token__startswith": "a"}),
    ("invoices_invoice", {"document__contains": "Mai"}),
    ("invoices_invoice", {"failure_message__contains": "Mai"}),
    ("invoices_invoiceissuance", {"response__contains": "Mai"}),
    ("invoices_invoiceissuance", {"invoice__claim_token__startswith": "a"}),
]
HIDDEN_FROM_SUPPORT = [
    ("merchants_provideraccount", {"encrypted_credentials__startswith": "a"}),
    ("merchants_provideraccount", {"credentials_fingerprint__startswith": "a"}),
    ("merchants_taxinfo", {"phone__startswith": "09"}),
    ("webhooks_webhookendpoint", {"encrypted_secrets__startswith": "a"}),
    ("webhooks_webhookevent", {"body__contains": "Mai"}),
    ("webhooks_webhookdelivery", {"endpoint__encrypted_secrets__startswith": "a"}),
    ("invoices_payment", {"body__buyer__phone__startswith": "09"}),
    ("invoices_invoicerequest", {"buyer__phone__startswith": "09"}),
    ("invoices_invoiceaudittracing", {"record__contains": "Mai"}),
]


@pytest.fixture
def groups(db: None) -> None:
    call_command("loaddata", "permissions", verbosity=0)


@pytest.mark.parametrize(
    ("group", "model", "lookup"),
    [*(("finance", *one) for one in HIDDEN), *(("support", *one) for one in [*HIDDEN, *HIDDEN_FROM_SUPPORT])],
)
def test_a_hidden_value_cannot_be_filtered_by(
    client: Client, groups: None, group: str, model: str, lookup: dict[str, str]
) -> None:
    sign_in_as(client, group)
    assert client.get(changelist_url(model)).status_code == 200
    assert client.get(changelist_url(model, **lookup)).status_code == 400


def test_a_list_cannot_be_filtered_by_a_column_that_it_does_not_offer(client: Client) -> None:
    client.force_login(User.objects.create_superuser("root", password="x"))
    for model, page in admin.site._registry.items():
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        for field in model._meta.concrete_fields:
            lookup = f"{field.name}__gt" if field.is_relation else f"{field.name}__startswith"
            assert client.get(changelist_url(name, **{lookup: "1"})).status_code == 400, (page, lookup)


def test_every_link_of_the_lists_and_the_sidebar_opens(client: Client) -> None:
    client.force_login(User.objects.create_superuser("root", password="x"))
    invoice_history.eventful_invoice(User.objects.get())
    lists = set(re.findall(r'href="(/admin/[a-z]+/[a-z]+/)"', client.get("/admin/").content.decode()))
    assert len(lists) > 15
    for path in lists:
        page = client.get(path)
        for query in re.findall(r'href="(\?[^"]+)"', page.content.decode()):
            assert client.get(path + query.replace("&amp;", "&")).status_code == 200, path + query


def test_the_gaps_of_a_long_timeline_link_to_the_other_rows(client: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr("config.console.timeline.MAX_ENTRIES", 1)
    root = User.objects.create_superuser("root", password="x")
    client.force_login(root)
    invoice = invoice_history.eventful_invoice(root)
    for at in ("p1", "p2"):
        sale = cast.payment(invoice.merchant, orderId=invoice.order_id, paymentId=at)
        receiving.receive_event("internal", at, json.dumps(cast.event("payment.succeeded", sale)).encode(), "1")
    page = client.get(reverse("admin:invoices_invoice_change", args=[invoice.pk])).content.decode()
    links = [link.replace("&amp;", "&") for link in re.findall(r'entry-gap"><a href="([^"]+)"', page)]
    assert any("/payment/?merchant_code=" in link for link in links)
    assert any("/webhookevent/?merchant_code=" in link for link in links)
    for link in links:
        assert client.get(link).status_code == 200, link
    payments = next(link for link in links if "/payment/" in link)
    assert client.get(payments).context["cl"].result_count == 3


def test_the_newest_come_first_even_if_the_address_asks_for_another_order(client: Client) -> None:
    client.force_login(User.objects.create_superuser("root", password="x"))
    cast.waiting(), cast.waiting()
    ids = [row.pk for row in client.get(changelist_url("invoices_invoice", o=6)).context["cl"].result_list]
    assert ids == sorted(ids, reverse=True) and len(ids) == 2


def test_days_are_filtered_only_within_a_merchant_and_impossible_values_are_refused(client: Client) -> None:
    client.force_login(User.objects.create_superuser("root", password="x"))
    invoice = cast.waiting()
    day = {"issue_date__gte": invoice.issue_date, "issue_date__lt": "2100-01-01"}
    assert client.get(changelist_url("invoices_invoice", **day)).status_code == 400  # no index leads with the day
    assert (
        client.get(changelist_url("invoices_invoice", **day, merchant=invoice.merchant_id)).context["cl"].result_count
        == 1
    )
    assert "Any date" not in client.get(changelist_url("invoices_invoice")).text
    assert "Any date" in client.get(changelist_url("invoices_invoice", merchant=invoice.merchant_id)).text
    assert (
        client.get(changelist_url("invoices_invoice", partition=9)).context["cl"].result_count == 1
    )  # there is no such partition
    for model, name in (("invoice", "state__exact"), ("payment", "merchant_code"), ("payment", "q")):
        assert client.get(changelist_url(f"invoices_{model}", **{name: "\0"})).status_code in (200, 400)
    assert client.get(changelist_url("invoices_invoice", state__exact="\0")).status_code == 400
    assert client.get("/admin/merchants/merchantchange/%00/change/").status_code == 302  # back to the first page


def test_filtering_by_failure_alone_also_filters_by_the_state_failed(client: Client) -> None:
    client.force_login(User.objects.create_superuser("root", password="x"))
    cast.failed(), cast.failed(failure="late"), cast.waiting()
    listed = client.get(changelist_url("invoices_invoice", failure__exact="late")).context["cl"]
    assert [row.failure for row in listed.result_list] == ["late"]
    assert "FAILED" in str(listed.queryset.query)  # otherwise the index on failures is not used


def test_events_and_deliveries_are_found_by_their_webhook_id(client: Client) -> None:
    client.force_login(User.objects.create_superuser("root", password="x"))
    invoice_history.post_event("payment.succeeded", cast.payment(cast.seller(), orderId="so-7"))
    event = WebhookEvent.objects.get()
    endpoint = WebhookEndpoint.objects.create(url="https://cafe.example/hooks")
    invoice = cast.waiting()
    for row in ({"event_id": f"{invoice.pk}-3", "invoice": invoice}, {"pk": 77, "event_id": "test-77"}):
        WebhookDelivery.objects.create(endpoint=endpoint, type="t", body="{}", **row)

    def count(model: str, text: str) -> int:
        return client.get(changelist_url(model, q=text)).context["cl"].result_count

    assert count("webhooks_webhookevent", event.webhook_id) == count("webhooks_webhookevent", "so-") == 1
    assert count("webhooks_webhookdelivery", f"{invoice.pk}-3") == count("webhooks_webhookdelivery", "test-77") == 1
    for nonsense in ("x", "test-x", f"{invoice.pk}-4", "9" * 30 + "-1"):
        assert count("webhooks_webhookdelivery", nonsense) == 0
