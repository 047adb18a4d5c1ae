"""An invoice's page: its timeline, its document, who sees which part, and its number of queries."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from config.console import timeline
from invoices import timeline as invoices_timeline
from invoices.admin.page import invoice_page, timeline_context
from invoices.models import Invoice, InvoiceIssuance, InvoiceRequest
from invoices.opening.conclude import apply_facts
from invoices.opening.facts import parse_refund as refund_fact
from invoices.operations.cancel import cancel
from invoices.operations.refresh_configuration import refresh_configuration
from tests import cast
from tests.claims.stages import with_files
from tests.console.action_pages import REASON, perform
from tests.invoices import invoice_history
from tests.invoices.admin.test_admin import change_url, page_text, sign_in_as
from webhooks import timeline as webhooks_timeline
from webhooks.inbound import receiving
from webhooks.models import WebhookDelivery, WebhookEvent

pytestmark = pytest.mark.django_db
PERSON = ("Nguyễn Thị Mai", "0901234567", "mai@example.com", "5 Lê Lợi")


@pytest.fixture
def root() -> User:
    return User.objects.create_superuser("thu", password="x")


def timeline_of(invoice: Invoice, reader: User) -> list[timeline.TimelineEntry]:
    return timeline.collect_entries(timeline_context(Invoice.objects.get(pk=invoice.pk), reader))


def kinds(invoice: Invoice, reader: User) -> set[str]:
    return {entry.kind for entry in timeline_of(invoice, reader)}


def test_the_timeline_has_every_source_in_the_order_of_time(root: User) -> None:
    invoice = invoice_history.eventful_invoice(root)
    entries = timeline_of(invoice, root)
    assert {m.kind for m in entries} == {
        "payment", "request", "claim", "audit", "attempt", "webhook-in", "webhook-out", "merchant", "edit",
    }  # fmt: skip
    assert [m.at for m in entries] == sorted(m.at for m in entries)
    edits = {(m.actor, m.reason) for m in entries if m.kind == "edit"}
    assert {("thu", "moved to another street"), ("thu", "the vendor asked for it"), ("system", "test")} <= edits


def test_the_timeline_has_refunds_files_and_look_ups(root: User, media: Any) -> None:
    invoice = with_files(cast.issued(cast.seller(), number="7"))
    sale = {"orderId": invoice.order_id, "merchantId": invoice.merchant.code, "total": invoice.total}
    apply_facts(refund_fact(cast.refund(sale, reason="cold coffee")), actor="test")
    invoice.issuances.update(lookups=3, not_founds=2, not_found_at=invoice.issued_at)
    entries = timeline_of(invoice, root)
    assert {"refund", "file"} <= {m.kind for m in entries}
    assert [m.reason for m in entries if m.kind == "refund"] == ["cold coffee"]
    (attempt,) = [m for m in entries if m.kind == "attempt"]
    assert attempt.details["look-ups"].startswith("3 times; 2 × not found")


def test_the_timeline_has_nothing_of_other_invoices(root: User) -> None:
    invoice = invoice_history.eventful_invoice(root)
    before = len(timeline_of(invoice, root))
    other = cast.waiting(orderId=invoice.order_id)  # the same name for an order of another merchant
    invoice_history.post_event("payment.succeeded", cast.payment(cast.seller(), orderId=invoice.order_id))
    invoice_history.edit(other.merchant, root, "elsewhere", name="Elsewhere")
    assert len(timeline_of(invoice, root)) == before


def test_the_timeline_has_no_merchant_edits_after_the_end(root: User) -> None:
    invoice = cast.issued()
    invoice_history.edit(invoice.merchant, root, "later", name="Later")
    assert "edit" not in {m.kind for m in timeline_of(invoice, root) if m.reason == "later"}


def test_the_timeline_hides_the_buyer_from_every_reader(client: Client, root: User) -> None:
    entries = timeline_of(invoice_history.eventful_invoice(root), root)
    assert not [word for word in PERSON if word in "".join(map(repr, entries))]


def test_an_order_with_a_closed_event_has_its_page(client: Client, root: User) -> None:
    merchant = cast.seller()
    sale = cast.payment(merchant)
    body = json.dumps(cast.event("payment.succeeded", sale | {"total": 1})).encode()
    receiving.receive_event("internal", "wrong", body, "1")
    receiving.close_events(WebhookEvent.objects.values_list("pk", flat=True))
    invoice_history.post_event("payment.succeeded", sale)
    client.force_login(root)
    page = page_text(client.get(change_url(Invoice.objects.get())))
    assert "received: refused, and closed by an operator" in page and "badge-closed" in page


@pytest.mark.parametrize(
    ("words", "choices"),
    [
        (webhooks_timeline.EVENT_RESULTS, WebhookEvent.Status),
        (webhooks_timeline.DELIVERY_RESULTS, WebhookDelivery.State),
        (invoices_timeline.REQUEST_SENTENCES, InvoiceRequest.Source),
        (invoices_timeline.OUTCOMES, InvoiceIssuance.Outcome),
    ],
)  # fmt: skip
def test_the_timeline_has_a_text_for_every_value(words: dict[str, str], choices: Any) -> None:
    assert set(words) >= set(choices) - {InvoiceIssuance.Outcome.ISSUED}


def test_the_timeline_has_actions_on_the_events_and_deliveries(client: Client, groups: None) -> None:
    operator = sign_in_as(client, "operator")
    merchant = invoice_history.seller_with_endpoint()
    sale = cast.payment(merchant)
    for wrong in ("replayed", "closed"):
        body = json.dumps(cast.event("payment.succeeded", sale | {"total": 1})).encode()
        receiving.receive_event("internal", wrong, body, "1")
    invoice_history.post_event("payment.succeeded", sale)
    invoice = cancel(Invoice.objects.get(), actor="test", reason="test")
    replayed, closed = WebhookEvent.objects.filter(status="refused").order_by("pk")
    delivery = WebhookDelivery.objects.get(invoice=invoice)
    for action, row in (("replay", replayed), ("close", closed), ("replay", delivery)):
        perform(client, action, row)
    edits = [m for m in timeline_of(invoice, operator) if m.kind == "edit" and m.actor == operator.username]
    assert [(m.sentence, m.reason) for m in edits] == [
        ("Webhook payment.succeeded: Replay: done", REASON),
        ("Webhook payment.succeeded: Close: closed", REASON),
        ("Webhook invoice.cancelled: Send again: due now", REASON),
    ]
    for edit in edits:
        assert REASON in page_text(client.get(edit.link))


class TestWhoSeesWhat:
    def test_support_sees_the_buyer_and_no_claim_link(self, client: Client, groups: None, root: User) -> None:
        invoice = invoice_history.eventful_invoice(root)
        sign_in_as(client, "support")
        page = page_text(client.get(change_url(invoice)))
        assert all(word in page for word in PERSON) and invoice.claim_token not in page
        assert "Hidden from you" not in page

    def test_finance_sees_money_and_attempts_but_no_person(self, client: Client, groups: None, root: User) -> None:
        invoice = invoice_history.eventful_invoice(root)
        user = sign_in_as(client, "finance")
        page = page_text(client.get(change_url(invoice)))
        assert not [word for word in PERSON if word in page]
        assert "individual · •••" in page and "Hidden from you: payments" in page
        assert kinds(invoice, user) == {"attempt"}

    def test_a_companys_tax_code_is_public_and_its_address_is_not(self, client: Client, groups: None) -> None:
        invoice = cast.waiting(buyer=cast.COMPANY)
        sign_in_as(client, "finance")
        page = page_text(client.get(change_url(invoice)))
        assert cast.COMPANY["taxCode"] in page
        assert not [cast.COMPANY[name] for name in ("name", "address", "email") if cast.COMPANY[name] in page]

    def test_only_readers_of_merchants_see_the_configuration(self, root: User, groups: None, client: Client) -> None:
        invoice = cast.waiting()
        assert "Configuration</h2>" not in page_text(as_member_of(client, "finance").get(change_url(invoice)))
        assert "Configuration</h2>" in page_text(as_member_of(client, "support").get(change_url(invoice)))


def as_member_of(client: Client, group: str) -> Client:
    sign_in_as(client, group)
    return client


def test_a_long_timeline_is_cut_and_links_to_the_rest(client: Client, root: User) -> None:
    invoice = invoice_history.add_audit_rows(invoice_history.eventful_invoice(root), timeline.MAX_ENTRIES + 5)
    client.force_login(root)
    page = page_text(client.get(change_url(invoice)))
    all_rows = f"/admin/invoices/invoiceaudittracing/?invoice__id__exact={invoice.pk}"
    assert f'<a href="{all_rows}">Earlier audit rows are not shown. See all.</a>' in page
    assert "fact 104" in page and "The invoice was opened" not in page
    assert page_text(client.get(all_rows)).count("fact_noted") >= 50


def test_the_page_needs_as_many_queries_for_a_long_timeline_as_for_a_short_one(client: Client, root: User) -> None:
    client.force_login(root)
    short, eventful = cast.waiting(), invoice_history.eventful_invoice(root)
    page_text(client.get(change_url(short)))
    counts = []
    for invoice in (short, eventful, invoice_history.add_audit_rows(eventful, timeline.MAX_ENTRIES + 5)):
        with CaptureQueriesContext(connection) as seen:
            page_text(client.get(change_url(invoice)))
        counts.append(len(seen))
    assert counts[1] == counts[2] <= 23
    assert counts[1] - counts[0] <= 3  # where there are any: user names, actions on events, actions on deliveries


def test_the_timeline_includes_the_entries_of_every_app(root: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("merchants.timeline.entries", extra_entries)
    assert "extra" in kinds(cast.waiting(), root)


def extra_entries(context: timeline.TimelineContext) -> list[timeline.TimelineEntry]:
    return [timeline.TimelineEntry(at=context.since, kind="extra", sentence="Something else")]


class TestPrintout:
    def test_before_the_first_take_it_says_that_nothing_was_sent(self, client: Client, root: User) -> None:
        client.force_login(root)
        page = page_text(client.get(change_url(cast.waiting())))
        assert "Not sent yet" in page and "Bán cho người tiêu dùng" in page

    def test_after_the_first_take_it_is_the_frozen_document(self, client: Client, root: User) -> None:
        client.force_login(root)
        invoice = cast.issued()
        Invoice.objects.filter(pk=invoice.pk).update(bill={})
        page = page_text(client.get(change_url(invoice)))
        assert "sent byte for byte" in page and "Cà phê sữa đá" in page

    def test_a_document_that_cannot_be_rendered_is_not_an_error(self, root: User) -> None:
        invoice = cast.waiting()
        invoice.bill = {}
        paper = invoice_page(invoice, root)["paper"]
        assert paper.document is None and paper.problem.startswith("The document cannot be rendered")


def test_the_configuration_is_compared_with_todays(client: Client, root: User) -> None:
    invoice = cast.waiting()
    client.force_login(root)
    assert "Nothing has changed since the invoice was opened" in page_text(client.get(change_url(invoice)))
    invoice_history.edit(invoice.merchant.tax_info, root, "moved", address="7 Hàng Bài")
    page = page_text(client.get(change_url(invoice)))
    assert "<del>1 Phan Chu Trinh</del>" in page and "<ins>7 Hàng Bài</ins>" in page


def test_the_configuration_is_compared_with_the_account_of_today(client: Client, root: User) -> None:
    invoice = cast.failed()
    client.force_login(root)
    invoice.account.remove("the contract ended")
    page = page_text(client.get(change_url(invoice)))
    assert f"<del>{invoice.account_id}</del>" in page and "Nothing has changed" not in page
    other = cast.account(invoice.merchant, symbol="C26TBB")
    page = page_text(client.get(change_url(invoice)))
    assert f"<del>{invoice.account_id}</del>" in page and f"<ins>{other.pk}</ins>" in page
    assert refresh_configuration(invoice, actor="user:1", reason="r").account == other
    assert "Nothing has changed" in page_text(client.get(change_url(invoice)))


def test_related_invoices_are_linked_both_ways(client: Client, root: User) -> None:
    original, correction = cast.issued(), cast.waiting()
    Invoice.objects.filter(pk=correction.pk).update(relates_to=original, kind="replacement", document_no=2)
    client.force_login(root)
    assert f'<dd><a href="{change_url(correction)}">' in page_text(client.get(change_url(original)))
    assert f'<dd><a href="{change_url(original)}">' in page_text(client.get(change_url(correction)))


def test_an_unknown_invoice_is_not_found(client: Client, root: User) -> None:
    client.force_login(root)
    for pk in ("1", "nonsense"):
        assert client.get(f"/admin/invoices/invoice/{pk}/change/").status_code == 302  # Django redirects to the index
