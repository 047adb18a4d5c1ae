"""The console's pages as an operator asks for them, and what each of them costs the database."""

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
class Visit:
    page: str
    path: str
    typed: str = ""  # into the search box


def visits() -> list[Visit]:
    """One of each kind; the database holds seeded invoices."""
    issued = Invoice.objects.filter(state=State.ISSUED).order_by("-pk")[0]
    other = Invoice.objects.exclude(state=State.ISSUED).order_by("-pk")[0]
    company = Invoice.objects.filter(buyer__has_key="taxCode").order_by("-pk")[0]
    search = reverse("admin:invoices_invoice_search")
    of_order = {"merchant_code": issued.merchant.code, "order_id": issued.order_id}
    return [
        Visit("home", reverse("admin:index")),
        Visit("list", changelist_url(LIST)),
        Visit("list, page 200", changelist_url(LIST, p=200)),
        Visit("list of ISSUED", changelist_url(LIST, state__exact=State.ISSUED)),
        Visit("list of FAILED, late", changelist_url(LIST, state__exact=State.FAILED, failure__exact="late")),
        Visit("list of late", changelist_url(LIST, failure__exact="late")),
        Visit("list, sorted otherwise", changelist_url(LIST, o=6)),
        Visit("list of an order", changelist_url(LIST, q=issued.order_id)),
        Visit("list of a merchant", changelist_url(LIST, merchant=issued.merchant_id)),
        Visit("list of a partition", changelist_url(LIST, partition=1)),
        Visit(
            "list of a merchant's day",
            changelist_url(LIST, merchant=issued.merchant_id, issue_date__gte=issued.issue_date, issue_date__lt="2100-01-01"),
        ),
        *(Visit(f"list to do: {work}", changelist_url(LIST, worklist=work)) for work in WORKLISTS),
        Visit("invoice, issued", reverse("admin:invoices_invoice_change", args=[issued.pk])),
        Visit("invoice, not issued", reverse("admin:invoices_invoice_change", args=[other.pk])),
        Visit("search: order", search, issued.order_id),
        Visit("search: orders that begin", search, issued.order_id[:-3]),
        Visit("search: number", search, issued.number),
        Visit("search: code", search, issued.code),
        Visit("search: tax code", search, company.buyer["taxCode"]),
        Visit("search: buyer", search, company.buyer["name"]),
        Visit("search: nothing there", search, "nobody knows this"),
        Visit("audit records", changelist_url("invoices_invoiceaudittracing")),
        Visit("issuances", changelist_url("invoices_invoiceissuance")),
        Visit("issuances of an order", changelist_url("invoices_invoiceissuance", q=issued.order_id)),
        Visit("issuances of an invoice", changelist_url("invoices_invoiceissuance", invoice__id__exact=issued.pk)),
        Visit("payments", changelist_url("invoices_payment")),
        Visit("payments, parked", changelist_url("invoices_payment", parked__isempty=0)),
        Visit("payments of an order", changelist_url("invoices_payment", **of_order)),
        Visit("refunds of an order", changelist_url("invoices_refund", **of_order)),
        Visit("requests of an order", changelist_url("invoices_invoicerequest", **of_order)),
        Visit("requests, too late", changelist_url("invoices_invoicerequest", too_late__exact=1)),
        Visit("events of an order", changelist_url("webhooks_webhookevent", **of_order)),
        Visit("events found", changelist_url("webhooks_webhookevent", q="internal-7")),
        Visit("events, not acted on", changelist_url("webhooks_webhookevent", not_acted="payment.succeeded")),
        Visit("deliveries of an invoice", changelist_url("webhooks_webhookdelivery", invoice__id__exact=issued.pk)),
        Visit("deliveries found", changelist_url("webhooks_webhookdelivery", q=f"{issued.pk}-3")),
        Visit("deliveries, to be sent", changelist_url("webhooks_webhookdelivery", worklist="send")),
    ]


def seed_other_rows() -> None:
    """For each seeded invoice what machines told of it and were told; the seed itself knows invoices only."""
    endpoint, _ = WebhookEndpoint.objects.get_or_create(url="https://cafe.example/hooks")
    invoices = list(Invoice.objects.filter(deliveries=None).select_related("merchant"))
    of = [{"merchant_code": one.merchant.code, "order_id": one.order_id} for one in invoices]
    answered = {"route": "internal", "body": "{}", "status": "done", "answer_status": 202, "answer": {}}
    sent = {"endpoint": endpoint, "body": "{}", "state": WebhookDelivery.State.DELIVERED}
    Refund.objects.bulk_create(Refund(**o, refund_id="r", refunded_at=clock.now(), amount=1, full=False) for o in of)
    WebhookEvent.objects.bulk_create(WebhookEvent(**o, **answered, webhook_id=f"{o}", type="t") for o in of)
    WebhookDelivery.objects.bulk_create(
        WebhookDelivery(**sent, invoice=one, event_id=f"{one.pk}-3", type="t") for one in invoices
    )


def queries_of(client: Client, visit: Visit) -> list[str]:
    """The statements of one page, in their order."""
    with CaptureQueriesContext(connection) as seen:
        answer: Any = client.post(visit.path, {"q": visit.typed}) if visit.typed else client.get(visit.path)
    assert answer.status_code in (200, 302), (visit, answer.status_code)
    return [query["sql"] for query in seen.captured_queries]


def full_scans(statements: list[str]) -> list[str]:
    """The large tables that a statement reads from end to end, with the statement; a small one is best read so."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relname = ANY(%s) AND reltuples >= 1000", [LARGE_TABLES])
        large = {row[0] for row in cursor.fetchall()}
    found = []
    for sql in statements:
        if sql.lstrip().upper().startswith(("SELECT", "WITH")):
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN " + sql.replace("%", "%%"), [])
                plan = "\n".join(row[0] for row in cursor.fetchall())
            found += [f"{table}: {sql}\n{plan}" for table in re.findall(r"Seq Scan on (\w+)", plan) if table in large]
    return found
