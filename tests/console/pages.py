"""The console's pages as an operator opens them, and the queries of each."""

import re
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from config.base import clock
from config.monitoring.gauges import changelist_url
from invoices.lifecycle import State
from invoices.models import Invoice, InvoiceAuditTracing, InvoiceIssuance, InvoiceRequest, Payment, Refund
from invoices.worklists import WORKLISTS
from webhooks.models import WebhookDelivery, WebhookEndpoint, WebhookEvent

LARGE_TABLES = [
    model._meta.db_table
    for model in (
        Invoice, Invoice.history.model, InvoiceAuditTracing, InvoiceIssuance, InvoiceRequest, Payment, Refund,
        WebhookEvent, WebhookDelivery,
    )
]  # fmt: skip
LIST = "invoices_invoice"


@dataclass(frozen=True, slots=True)
class PageVisit:
    page: str
    path: str
    typed: str = ""  # in the search box


def page_visits() -> list[PageVisit]:
    """One visit of each kind of page. The database must hold seeded invoices."""
    issued = Invoice.objects.filter(state=State.ISSUED).order_by("-pk")[0]
    other = Invoice.objects.exclude(state=State.ISSUED).order_by("-pk")[0]
    company = Invoice.objects.filter(buyer__has_key="taxCode").order_by("-pk")[0]
    search = reverse("admin:invoices_invoice_search")
    of_order = {"merchant_code": issued.merchant.code, "order_id": issued.order_id}
    return [
        PageVisit("home", reverse("admin:index")),
        PageVisit("list", changelist_url(LIST)),
        PageVisit("list, page 200", changelist_url(LIST, p=200)),
        PageVisit("list of ISSUED", changelist_url(LIST, state__exact=State.ISSUED)),
        PageVisit("list of FAILED, late", changelist_url(LIST, state__exact=State.FAILED, failure__exact="late")),
        PageVisit("list of late", changelist_url(LIST, failure__exact="late")),
        PageVisit("list, sorted otherwise", changelist_url(LIST, o=6)),
        PageVisit("list of an order", changelist_url(LIST, q=issued.order_id)),
        PageVisit("list of a merchant", changelist_url(LIST, merchant=issued.merchant_id)),
        PageVisit("list of a partition", changelist_url(LIST, partition=1)),
        PageVisit(
            "list of a merchant's day",
            changelist_url(
                LIST, merchant=issued.merchant_id, issue_date__gte=issued.issue_date, issue_date__lt="2100-01-01"
            ),
        ),
        *(PageVisit(f"worklist: {worklist}", changelist_url(LIST, worklist=worklist)) for worklist in WORKLISTS),
        PageVisit("invoice, issued", reverse("admin:invoices_invoice_change", args=[issued.pk])),
        PageVisit("invoice, not issued", reverse("admin:invoices_invoice_change", args=[other.pk])),
        PageVisit("search: order", search, issued.order_id),
        PageVisit("search: orders that begin", search, issued.order_id[:-3]),
        PageVisit("search: number", search, issued.number),
        PageVisit("search: code", search, issued.code),
        PageVisit("search: tax code", search, company.buyer["taxCode"]),
        PageVisit("search: buyer", search, company.buyer["name"]),
        PageVisit("search: nothing there", search, "no such thing"),
        PageVisit("audit records", changelist_url("invoices_invoiceaudittracing")),
        PageVisit("attempts", changelist_url("invoices_invoiceissuance")),
        PageVisit("attempts of an order", changelist_url("invoices_invoiceissuance", q=issued.order_id)),
        PageVisit("attempts of an invoice", changelist_url("invoices_invoiceissuance", invoice__id__exact=issued.pk)),
        PageVisit("payments", changelist_url("invoices_payment")),
        PageVisit("payments, parked", changelist_url("invoices_payment", parked__isempty=0)),
        PageVisit("payments of an order", changelist_url("invoices_payment", **of_order)),
        PageVisit("refunds of an order", changelist_url("invoices_refund", **of_order)),
        PageVisit("requests of an order", changelist_url("invoices_invoicerequest", **of_order)),
        PageVisit("requests, too late", changelist_url("invoices_invoicerequest", too_late__exact=1)),
        PageVisit("events of an order", changelist_url("webhooks_webhookevent", **of_order)),
        PageVisit("events found", changelist_url("webhooks_webhookevent", q="internal-7")),
        PageVisit("events, not applied", changelist_url("webhooks_webhookevent", not_applied="payment.succeeded")),
        PageVisit("deliveries of an invoice", changelist_url("webhooks_webhookdelivery", invoice__id__exact=issued.pk)),
        PageVisit("deliveries found", changelist_url("webhooks_webhookdelivery", q=f"{issued.pk}-3")),
        PageVisit("deliveries, to be sent", changelist_url("webhooks_webhookdelivery", worklist="send")),
    ]


def seed_other_rows() -> None:
    """Add a refund, an event and a delivery to each seeded invoice: the seed command makes only invoices."""
    endpoint, _ = WebhookEndpoint.objects.get_or_create(url="https://cafe.example/hooks")
    invoices = list(Invoice.objects.filter(deliveries=None).select_related("merchant"))
    orders = [{"merchant_code": one.merchant.code, "order_id": one.order_id} for one in invoices]
    answered = {"route": "internal", "body": "{}", "status": "done", "answer_status": 202, "answer": {}}
    sent = {"endpoint": endpoint, "body": "{}", "state": WebhookDelivery.State.DELIVERED}
    Refund.objects.bulk_create(
        Refund(**o, refund_id="r", refunded_at=clock.now(), amount=1, full=False) for o in orders
    )
    WebhookEvent.objects.bulk_create(WebhookEvent(**o, **answered, webhook_id=f"{o}", type="t") for o in orders)
    WebhookDelivery.objects.bulk_create(
        WebhookDelivery(**sent, invoice=one, event_id=f"{one.pk}-3", type="t") for one in invoices
    )


def queries_of(client: Client, visit: PageVisit) -> list[str]:
    """The statements of one page, in order."""
    with CaptureQueriesContext(connection) as captured:
        response: Any = client.post(visit.path, {"q": visit.typed}) if visit.typed else client.get(visit.path)
    assert response.status_code in (200, 302), (visit, response.status_code)
    return [query["sql"] for query in captured.captured_queries]


def full_scans(statements: list[str]) -> list[str]:
    """Sequential scans of large tables, each with its statement and plan. Small tables are best read that way."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relname = ANY(%s) AND reltuples >= 1000", [LARGE_TABLES])
        large = {row[0] for row in cursor.fetchall()}
    scans = []
    for sql in statements:
        if sql.lstrip().upper().startswith(("SELECT", "WITH")):
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN " + sql.replace("%", "%%"), [])
                plan = "\n".join(row[0] for row in cursor.fetchall())
            scans += [f"{table}: {sql}\n{plan}" for table in re.findall(r"Seq Scan on (\w+)", plan) if table in large]
    return scans
