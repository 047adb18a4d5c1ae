"""The search box: the candidates for a text, the hits, their indexes and their readers."""

import logging
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import QuerySet
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from invoices.models import BuyerTerms, Invoice
from invoices.opening.conclude import apply_facts
from invoices.opening.facts import parse_payment as payment_fact
from invoices.operations.amend import amend
from invoices.search import Kind, read_query, run_search
from invoices.search.results import _payments, rows_for
from tests import cast
from tests.invoices.admin.test_admin import page_text, sign_in_as

SEARCH = "/admin/invoices/invoice/search/"
TOKEN = "Zx3-qWeRtYuIoPaSdFgHjKlZxCvBnM_1"


def kinds(typed: str) -> set[Kind]:
    return {c.kind for c in read_query(typed)}


class TestQuery:
    @pytest.mark.parametrize(
        ("typed", "kind", "value"),
        [
            ("order-17", Kind.ORDER, "order-17"),
            ("  order-17\n", Kind.ORDER_BEGIN, "order-17"),
            ("payment-17", Kind.PAYMENT, "payment-17"),
            (f"https://invoice.example.vn/claims/{TOKEN}", Kind.CLAIM, TOKEN),
            (f"https://invoice.example.vn/claims/{TOKEN}/stub?lang=en", Kind.CLAIM, TOKEN),
            (TOKEN, Kind.CLAIM, TOKEN),
            ("https://h.example/admin/invoices/invoice/251409258329931782/change/", Kind.INVOICE, "251409258329931782"),
            ("251409258329931782", Kind.INVOICE, "251409258329931782"),
            ("C43C0D5D-b6fc-54fc-8646-6658fb96bb87", Kind.REFERENCE, "c43c0d5d-b6fc-54fc-8646-6658fb96bb87"),
            ("00474597512be94b7bab367996ef464828", Kind.CODE, "00474597512BE94B7BAB367996EF464828"),
            ("1207", Kind.NUMBER, "1207"),
            ("1C26TAA-1207", Kind.NUMBER, "1207"),
            ("c26taa 00001207", Kind.NUMBER, "00001207"),
            ("0100109106", Kind.TAX_CODE, "0100109106"),
            ("0100 109 106-001", Kind.TAX_CODE, "0100109106-001"),
            ("001202012345", Kind.TAX_CODE, "001202012345"),
            ("+84 901 234 567", Kind.PHONE, "0901234567"),
            ("0901.234.567", Kind.PHONE, "0901234567"),
            ("Mai@Example.com", Kind.EMAIL, "mai@example.com"),
            ("nguyen mai", Kind.NAME, "nguyen mai"),
            ("Mai", Kind.NAME, "Mai"),
        ],
    )
    def test_a_text_is_recognised(self, typed: str, kind: Kind, value: str) -> None:
        assert (kind, value) in [(c.kind, c.value) for c in read_query(typed)]

    def test_a_claim_link_is_nothing_else(self) -> None:
        assert kinds(f"http://127.0.0.1:31140/claims/{TOKEN}") == {Kind.CLAIM}

    def test_the_symbol_narrows_a_number(self) -> None:
        assert [c.symbol for c in read_query("1c26taa-7") if c.kind == Kind.NUMBER] == ["C26TAA"]

    @pytest.mark.parametrize("typed", ["", "   ", "\n"])
    def test_an_empty_text_has_no_candidates(self, typed: str) -> None:
        assert read_query(typed) == []

    def test_an_order_is_not_a_name(self) -> None:
        assert Kind.NAME not in kinds("order-1") | kinds("A1B2") | kinds("550e8400-e29b-41d4-a716-446655440000")

    @given(st.text(max_size=500))
    def test_no_kind_occurs_twice_and_none_is_empty(self, typed: str) -> None:
        candidates = read_query(typed)
        assert len({c.kind for c in candidates}) == len(candidates)
        assert all(c.value and "\x00" not in c.value for c in candidates)

    @given(st.from_regex(r"[A-Za-z0-9_-]{32}", fullmatch=True), st.sampled_from(["", "/", "/stub", "?lang=vi", "#a"]))
    def test_every_token_is_found_in_every_link(self, token: str, tail: str) -> None:
        assert [tuple(c)[:2] for c in read_query(f"https://a.example/claims/{token}{tail}")] == [(Kind.CLAIM, token)]


@pytest.mark.django_db
class TestResults:
    def of(self, buyer: dict[str, str], **sale: Any) -> Invoice:
        invoice = apply_facts(*payment_fact(cast.payment(cast.seller(), buyer=buyer, **sale)), actor="test").invoice
        assert invoice is not None
        return invoice

    def links(self, typed: str) -> list[str]:
        return [hit.link for hit in run_search(typed, lambda _: True).hits]

    def finds(self, typed: str, invoice: Invoice) -> bool:
        return self.links(typed) == [reverse("admin:invoices_invoice_change", args=[invoice.pk])]

    @pytest.mark.parametrize(
        "typed",
        ["nguyen mai", "NGUYỄN THỊ MAI", "mai", "Thi  Nguyen", "0901234567", "+84901234567", "mai@example.com"],
    )
    def test_a_buyer_is_found_by_name_phone_and_email(self, typed: str) -> None:
        mai = self.of({**cast.PERSON, "email": "Mai@example.com"})
        self.of({**cast.PERSON, "name": "Nguyễn Văn Bình", "phone": "0907654321"})
        assert self.finds(typed, mai)

    @pytest.mark.parametrize("typed", ["0100109106", "0100 109 106", "hoa sen trang", "Trắng Hoa"])
    def test_a_company_is_found_by_its_tax_code_and_name(self, typed: str) -> None:
        company = self.of(cast.COMPANY)
        self.of(cast.PERSON)
        assert self.finds(typed, company)

    def test_a_branch_is_found_by_the_code_of_its_company_too(self) -> None:
        rows_for = self.of({**cast.COMPANY, "taxCode": "0100109106-001"})
        assert self.finds("0100109106", rows_for) and self.finds("0100109106-001", rows_for)

    def test_names_are_compared_without_diacritics(self) -> None:
        invoice = self.of({**cast.PERSON, "name": "Đặng Đức Ân"})
        assert self.finds("dang duc an", invoice) and self.finds("Đa\u0323\u0306ng", invoice)

    def test_a_changed_buyer_is_found_by_the_new_words_only(self) -> None:
        invoice = cast.failed(buyer=cast.PERSON)
        amend(invoice, actor="test", reason="r", buyer=cast.COMPANY)
        assert self.finds("hoa sen", invoice) and self.links("nguyen") == []

    def test_a_removed_buyer_is_not_found(self) -> None:
        invoice = cast.waiting(buyer=cast.PERSON)
        Invoice.objects.filter(pk=invoice.pk).update(buyer={})
        assert not BuyerTerms.objects.exists()

    def test_the_consumer_has_no_terms(self) -> None:
        cast.waiting()
        assert not BuyerTerms.objects.exists()

    def test_an_issued_invoice_is_found_by_everything_it_has(self) -> None:
        invoice = cast.issued(number="1207", orderId="so-42", paymentId="pay-42")
        cast.issued(number="1208", orderId="so-43", paymentId="pay-43")
        for typed in (
            "so-42", "pay-42", "1207", "00001207", "1C26TAA-1207", str(invoice.reference), str(invoice.pk),
            invoice.claim_token, f"https://anywhere.example/claims/{invoice.claim_token}",
        ):  # fmt: skip
            assert self.finds(typed, invoice), typed

    def test_a_code_of_two_invoices_finds_both(self) -> None:
        one, other = cast.issued(number="1"), cast.issued(number="2")  # cast gives all the same code
        assert one.code == other.code and len(self.links(one.code)) == 2

    def test_a_prefix_lists_its_hits_and_opens_none(self) -> None:
        cast.waiting(orderId="so-1")
        assert run_search("so-", lambda _: True).only_hit is None and len(self.links("so-")) == 1

    def test_an_exact_order_is_listed_before_longer_ones(self) -> None:
        whole, longer = cast.waiting(orderId="so-1"), cast.waiting(orderId="so-12")
        assert self.links("so-1") == [
            reverse("admin:invoices_invoice_change", args=[invoice.pk]) for invoice in (whole, longer)
        ]
        assert "so-1" in run_search("so-1", lambda _: True).only_hit.title  # type: ignore[union-attr]

    def test_a_payment_does_not_find_another_merchants_order(self) -> None:
        invoice = cast.waiting(orderId="so-1", paymentId="pay-1")
        cast.waiting(orderId="so-1", paymentId="pay-2")
        assert self.finds("pay-1", invoice)

    def test_a_parked_payment_is_found_where_there_is_no_invoice(self) -> None:
        apply_facts(*payment_fact(cast.payment("nobody", orderId="so-9", paymentId="pay-9")), actor="test")
        for typed in ("so-9", "pay-9"):
            assert [(hit.state, hit.merchant) for hit in run_search(typed, lambda _: True).hits] == [
                ("parked", "nobody")
            ]

    def test_a_refused_event_is_found_by_its_order(self, client: Client) -> None:
        sale = cast.payment("nobody", orderId="so-8", total=7)
        client.post("/v1/api/webhooks/internal", **cast.signed(cast.event("payment.succeeded", {**sale, "lines": []})))
        assert [hit.state for hit in run_search("so-8", lambda _: True).hits] == ["refused"]

    def test_a_number_too_large_for_an_id_is_not_an_error(self) -> None:
        assert self.links("9999999999999999999") == []

    def test_results_beyond_the_limit_are_cut(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("invoices.search.results.LIMIT", 2)
        merchant = cast.seller()
        for _ in range(4):
            cast.waiting(merchant, buyer=cast.PERSON)
        assert run_search("mai", lambda _: True).is_cut and not run_search("binh", lambda _: True).is_cut


INDEXES = {
    "order-17": {Kind.ORDER: "by_order", Kind.ORDER_BEGIN: "by_order"},
    TOKEN: {Kind.CLAIM: "one_claim_token"},
    "1207": {Kind.NUMBER: "by_number"},
    "00474597512BE94B7BAB367996EF464828": {Kind.CODE: "by_code"},
    "c43c0d5d-b6fc-54fc-8646-6658fb96bb87": {Kind.REFERENCE: "issuances_by_reference"},
    "251409258329931782": {Kind.INVOICE: "invoices_invoice_pkey"},
    "0100109106": {Kind.TAX_CODE: "buyers_by_term", Kind.PHONE: "buyers_by_term"},
    "mai@example.com": {Kind.EMAIL: "buyers_by_term"},
    "nguyen mai": {Kind.NAME: "buyers_by_term"},
}


def plan(rows: QuerySet[Any, Any]) -> str:
    """Without statistics on a few rows the planner would rightly read them all."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = on")
        return rows.explain()


@pytest.mark.django_db
@pytest.mark.parametrize(("typed", "kind", "index"), [(t, k, i) for t, of in INDEXES.items() for k, i in of.items()])
def test_each_kind_has_its_index(typed: str, kind: Kind, index: str) -> None:
    (candidate,) = [c for c in read_query(typed) if c.kind == kind]
    plan_text = plan(rows_for(candidate))
    assert index in plan_text or "Index" in plan_text, plan_text  # on a few rows another may be as good
    assert "Index Cond" in plan_text and "Seq Scan" not in plan_text, plan_text


@pytest.mark.django_db
@pytest.mark.parametrize(("typed", "forced"), [("nguyen tran", True), ("nguyen", False), ("so-1", False)])
def test_names_of_several_words_never_scan_the_table(typed: str, forced: bool) -> None:
    with CaptureQueriesContext(connection) as seen:
        run_search(typed, lambda _: True)
    assert any("enable_seqscan = off" in query["sql"] for query in seen) == forced


@pytest.mark.django_db
def test_payments_have_an_index() -> None:
    plan_text = plan(_payments(read_query("pay-1")))
    assert "payments_by_id" in plan_text and "Seq Scan" not in plan_text, plan_text


def test_every_kind_is_covered_by_the_index_tests() -> None:
    assert {kind for of in INDEXES.values() for kind in of} | {Kind.PAYMENT} == set(Kind)


@pytest.mark.django_db
class TestPage:
    @pytest.fixture
    def desk(self, client: Client) -> Client:
        client.force_login(User.objects.create_superuser("root", password="x"))
        return client

    def test_a_single_exact_hit_is_opened(self, desk: Client) -> None:
        invoice = cast.waiting(buyer=cast.PERSON)
        for typed in (invoice.order_id, "nguyễn thị mai"):
            response = desk.post(SEARCH, {"q": typed})
            assert (response.status_code, response["Location"]) == (
                302, reverse("admin:invoices_invoice_change", args=[invoice.pk])
            )  # fmt: skip

    def test_several_hits_are_listed_without_phone_numbers(self, desk: Client) -> None:
        merchant = cast.seller()
        both = [cast.waiting(merchant, buyer=cast.PERSON) for _ in range(2)]
        page = page_text(desk.post(SEARCH, {"q": "nguyen mai"}))
        assert all(invoice.order_id in page for invoice in both) and merchant.name in page and "WAITING" in page
        assert cast.PERSON["phone"] not in page

    def test_no_result_shows_the_text_and_the_kinds_searched(self, desk: Client) -> None:
        page = page_text(desk.post(SEARCH, {"q": "so-404"}))
        assert "so-404" in page and "order, payment, beginning of an order" in page

    def test_a_text_in_the_address_is_ignored(self, desk: Client) -> None:
        cast.waiting(buyer=cast.PERSON)
        page = page_text(desk.get(SEARCH, {"q": cast.PERSON["phone"]}))
        assert "Found as" not in page and cast.PERSON["phone"] not in page

    def test_the_log_has_user_and_count_but_not_the_text(self, desk: Client, caplog: Any) -> None:
        cast.waiting(buyer=cast.PERSON)
        with caplog.at_level(logging.INFO):
            desk.post(SEARCH, {"q": cast.PERSON["phone"]})
        (record,) = [record for record in caplog.records if record.getMessage() == "[search]"]
        assert (record.kind, record.count) == ("phone", 1) and record.actor.startswith("user:")
        assert cast.PERSON["phone"] not in caplog.text

    def test_a_search_needs_as_many_queries_for_one_hit_as_for_many(self, desk: Client) -> None:
        merchant = cast.seller()
        cast.waiting(merchant, buyer=cast.PERSON)
        desk.post(SEARCH, {"q": "mai"})
        counts = []
        for more in (1, 6):
            for _ in range(more):
                cast.waiting(merchant, buyer=cast.PERSON)
            with CaptureQueriesContext(connection) as seen:
                page_text(desk.post(SEARCH, {"q": "mai"}))
            counts.append(len(seen))
        assert counts[0] == counts[1] <= 6  # session, user, payments, ids, invoices, events

    def test_readers_who_may_not_see_buyers_do_not_find_them(self, client: Client, groups: None) -> None:
        cast.waiting(buyer=cast.PERSON)
        sign_in_as(client, "finance")
        page = page_text(client.post(SEARCH, {"q": "0901234567"}))
        assert "may not see buyers: phone" in page.replace("tax code or personal ID number, ", "")
        assert cast.PERSON["name"] not in page and "Found as" not in page

    def test_support_finds_buyers(self, client: Client, groups: None) -> None:
        cast.waiting(buyer=cast.PERSON)
        sign_in_as(client, "support")
        assert client.post(SEARCH, {"q": "0901234567"}).status_code == 302

    def test_only_readers_of_invoices_may_search(self, client: Client, groups: None) -> None:
        sign_in_as(client, "security")
        assert client.post(SEARCH, {"q": "x"}).status_code == 403
        client.logout()
        assert "/login/" in client.post(SEARCH, {"q": "x"})["Location"]

    def test_the_search_is_protected_against_other_sites(self) -> None:
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(User.objects.create_superuser("root", password="x"))
        assert strict.post(SEARCH, {"q": "x"}).status_code == 403
