"""Lists of invoices over HTTP: filters with an index each, stable pages, a fixed number of queries."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from invoices.models import Invoice
from tests import cast
from tests.api.client import ApiClient, problem

pytestmark = pytest.mark.django_db


def found(caller: ApiClient, query: str = "") -> list[str]:
    answer = caller.call("get", f"invoices{query}")
    assert answer.status_code == 200, answer.content
    return [row["sourceId"] for row in answer.json()["items"]]


def test_a_list_has_the_fields_of_the_outbound_webhooks_and_no_buyer() -> None:
    invoice = cast.failed()
    (row,) = ApiClient().call("get", "invoices").json()["items"]
    assert row["invoiceId"] == str(invoice.pk)
    assert row["failure"] == {"reason": "refused", "message": "The tax code is unknown."}
    assert not {"buyer", "lines"} & set(row) and not [name for name in row if "_" in name]


def test_filters_narrow_a_list() -> None:
    one, other = cast.seller(), cast.seller()
    old = cast.issued(one, number="77", orderId="old", buyer=cast.COMPANY)
    cast.failed(one, orderId="failed")
    cast.waiting(other, orderId="waiting")
    caller, day = ApiClient(), old.issue_date
    assert found(caller) == ["waiting", "failed", "old"]
    assert found(caller, "?sourceId=failed") == ["failed"]
    assert found(caller, "?state=WAITING") == ["waiting"]
    assert found(caller, f"?merchantId={one.code}") == ["failed", "old"]
    assert found(caller, "?merchantId=nobody") == []
    assert found(caller, "?taxCode=0100109106") == found(caller, "?taxCode=0100 109 106") == ["old"]
    assert found(caller, "?number=77") == ["old"]
    assert found(caller, f"?merchantId={one.code}&issueDateFrom={day}&issueDateTo={day}") == ["failed", "old"]
    assert found(caller, f"?merchantId={one.code}&issueDateFrom={day + timedelta(1)}") == []
    assert found(ApiClient(merchants=[one.code]), f"?issueDateTo={day}") == ["failed", "old"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=OPEN", "state"),
        ("issueDateFrom=today&merchantId=a", "issueDateFrom"),
        ("issueDateFrom=2026-11-01", "merchantId"),
        ("sourceId=%00", "sourceId"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("cursor=abc", "cursor"),
    ],
)
def test_an_invalid_filter_is_refused(query: str, field: str) -> None:
    answer = ApiClient().call("get", f"invoices?{query}")
    assert problem(answer)[0] == 422 and list(answer.json()["fields"]) == [field]


def test_pages_are_stable_while_invoices_are_opened() -> None:
    merchant, caller = cast.seller(), ApiClient()
    orders = [cast.waiting(merchant).order_id for _ in range(5)]
    page = caller.call("get", "invoices?limit=2").json()
    seen = [row["sourceId"] for row in page["items"]]
    while page["nextCursor"]:
        cast.waiting(merchant)
        page = caller.call("get", f"invoices?limit=2&cursor={page['nextCursor']}").json()
        seen += [row["sourceId"] for row in page["items"]]
    assert seen == orders[::-1]


def test_deleted_invoices_are_not_listed_and_their_orders_stay_in_use() -> None:
    caller, body = ApiClient(), cast.payment(cast.seller())
    opened = caller.call("post", "invoices", body).json()
    Invoice.objects.get().delete()
    assert found(caller) == []
    for path in ("", "/tracings", "/issuances", "/files/pdf"):
        assert problem(caller.call("get", f"invoices/{opened['invoiceId']}{path}")) == (404, "not_found")
    assert problem(caller.call("post", "invoices", body)) == (409, "order_conflict")


def test_a_list_needs_as_many_queries_for_one_row_as_for_many() -> None:
    merchant = cast.seller()
    caller = ApiClient(merchants=[merchant.code])
    counts = []
    for rows in (1, 5):
        for _ in range(rows):
            cast.waiting(merchant)
        with CaptureQueriesContext(connection) as queries:
            caller.call("get", "invoices")
        counts.append(len(queries))
    assert counts == [2, 2]  # the caller's merchants, the rows


QUERIES = [
    ("sourceId=copy-7", "by_order"),
    ("state=FAILED", "unissued_by_state"),
    ("merchantId={code}", "by_merchant"),
    ("", "invoices_invoice_pkey"),
    ("merchantId={busy}&issueDateFrom=2026-01-05&issueDateTo=2026-01-05", "by_issue_date"),
    ("taxCode=0100109106", "by_buyer_tax_code"),
    ("number=12", "by_number"),
]


def many(like: Invoice, rows: int) -> None:
    """Copies of an invoice: each of an order of its own, one in fifty failed, one in a hundred with a buyer."""
    own = {
        "id": f"{like.pk} + n", "order_id": "'copy-' || n", "number": "n::text", "reference": "gen_random_uuid()",
        "claim_token": "NULL", "state": "CASE n % 50 WHEN 0 THEN 'FAILED' ELSE 'ISSUED' END",
        "issue_date": "date '2026-01-01' + (n / 100)",
        "buyer": "CASE n % 100 WHEN 0 THEN jsonb_build_object('taxCode', n::text) ELSE '{}'::jsonb END",
    }  # fmt: skip
    columns = [field.column for field in Invoice._meta.concrete_fields]
    values = ", ".join(own.get(column, f'"{column}"') for column in columns)
    names = ", ".join(f'"{column}"' for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO invoices_invoice ({names}) SELECT {values} FROM invoices_invoice, "
            f"generate_series(1, {rows}) AS n WHERE id = {like.pk}"
        )
        cursor.execute("ANALYZE invoices_invoice")


def test_each_filter_uses_its_index_and_sorts_no_table() -> None:
    one, other = cast.seller(), cast.seller()
    many(cast.waiting(one), 10_000)
    cast.waiting(other)
    caller = ApiClient()
    for query, index in QUERIES:
        with CaptureQueriesContext(connection) as queries:
            caller.call("get", "invoices?" + query.format(code=other.code, busy=one.code))
        (select,) = [q["sql"] for q in queries if 'FROM "invoices_invoice"' in q["sql"]]
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {select}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
        assert index in plan and "Seq Scan on invoices" not in plan, f"{query}\n{plan}"
