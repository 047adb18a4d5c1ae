"""The console's pages as an operator asks for them, and what each of them costs the database."""

import re
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from config.figures import listed
from invoices.lifecycle import State
from invoices.models import Invoice, InvoiceAuditTracing, InvoiceIssuance, InvoiceRequest, Payment
from webhooks.models import WebhookDelivery, WebhookEvent

LARGE = [
    model._meta.db_table
    for model in (
        Invoice, Invoice.history.model, InvoiceAuditTracing, InvoiceIssuance, InvoiceRequest, Payment,
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
    return [
        Visit("home", reverse("admin:index")),
        Visit("list", listed(LIST)),
        Visit("list, page 200", listed(LIST, p=200)),
        Visit("list of ISSUED", listed(LIST, state__exact=State.ISSUED)),
        Visit("list of FAILED, late", listed(LIST, state__exact=State.FAILED, failure__exact="late")),
        Visit("list of a merchant", listed(LIST, merchant=issued.merchant_id)),
        Visit("list of a partition", listed(LIST, partition=1)),
        Visit("list of a day", listed(LIST, issue_date__gte=issued.issue_date, issue_date__lt="2100-01-01")),
        Visit("list to do: corrections", listed(LIST, work="correction")),
        Visit("list to do: claims", listed(LIST, work="claimable")),
        Visit("invoice, issued", reverse("admin:invoices_invoice_change", args=[issued.pk])),
        Visit("invoice, not issued", reverse("admin:invoices_invoice_change", args=[other.pk])),
        Visit("search: order", search, issued.order_id),
        Visit("search: orders that begin", search, issued.order_id[:-3]),
        Visit("search: number", search, issued.number),
        Visit("search: code", search, issued.code),
        Visit("search: tax code", search, company.buyer["taxCode"]),
        Visit("search: buyer", search, company.buyer["name"]),
        Visit("search: nothing there", search, "nobody knows this"),
        Visit("audit records", listed("invoices_invoiceaudittracing")),
        Visit("issuances", listed("invoices_invoiceissuance")),
        Visit("payments", listed("invoices_payment")),
    ]


def queries_of(client: Client, visit: Visit) -> list[str]:
    """The statements of one page, in their order."""
    with CaptureQueriesContext(connection) as seen:
        answer: Any = client.post(visit.path, {"q": visit.typed}) if visit.typed else client.get(visit.path)
    assert answer.status_code in (200, 302), (visit, answer.status_code)
    return [query["sql"] for query in seen.captured_queries]


def read_whole(statements: list[str]) -> list[str]:
    """The large tables that a statement reads from end to end, with the statement; a small one is best read so."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relname = ANY(%s) AND reltuples >= 1000", [LARGE])
        large = {row[0] for row in cursor.fetchall()}
    found = []
    for sql in statements:
        if sql.lstrip().upper().startswith(("SELECT", "WITH")):
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN " + sql.replace("%", "%%"), [])
                plan = "\n".join(row[0] for row in cursor.fetchall())
            found += [f"{table}: {sql}\n{plan}" for table in re.findall(r"Seq Scan on (\w+)", plan) if table in large]
    return found
