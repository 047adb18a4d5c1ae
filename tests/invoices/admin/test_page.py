"""An invoice's page: the whole story, to whom which part of it, and at what price."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from config.console import timeline
from invoices import timeline as invoices_told
from invoices.admin.page import page_of, subject
from invoices.models import Invoice, InvoiceIssuance, InvoiceRequest
from invoices.opening.conclude import learn
from invoices.opening.facts import refund as refund_fact
from invoices.operations.cancel import cancel
from invoices.operations.refresh_configuration import refresh_configuration
from invoices.sentences import EVENTS, sentence
from tests import cast
from tests.claims.stages import with_files
from tests.console.action_pages import REASON, perform
from tests.invoices import invoice_history
from tests.invoices.admin.test_admin import as_one_of, text
from tests.invoices.admin.test_admin import page_of as address_of
from webhooks import timeline as webhooks_told
from webhooks.inbound import receiving
from webhooks.models import WebhookDelivery, WebhookEvent

pytestmark = pytest.mark.django_db
PERSON = ("Nguyễn Thị Mai", "0901234567", "mai@example.com", "5 Lê Lợi")


@pytest.fixture
def root() -> User:
    return User.objects.create_superuser("thu", password="x")


def story(invoice: Invoice, reader: User) -> list[timeline.Moment]:
    return timeline.read(subject(Invoice.objects.get(pk=invoice.pk), reader))


def kinds(invoice: Invoice, reader: User) -> set[str]:
    return {moment.kind for moment in story(invoice, reader)}


def test_every_source_is_in_the_story_and_time_only_goes_forward(root: User) -> None:
    invoice = invoice_history.eventful_invoice(root)
    told = story(invoice, root)
    assert {m.kind for m in told} == {
        "payment", "request", "claim", "audit", "attempt", "webhook-in", "webhook-out", "merchant", "edit",
    }  # fmt: skip
    assert [m.at for m in told] == sorted(m.at for m in told)
    edits = {(m.actor, m.why) for m in told if m.kind == "edit"}
    assert {("thu", "moved to another street"), ("thu", "the vendor asked for it"), ("system", "test")} <= edits


def test_refunds_files_and_look_ups_are_in_it_too(root: User, media: Any) -> None:
    invoice = with_files(cast.issued(cast.seller(), number="7"))
    sale = {"orderId": invoice.order_id, "merchantId": invoice.merchant.code, "total": invoice.total}
    learn(refund_fact(cast.refund(sale, reason="cold coffee")), actor="test")
    invoice.issuances.update(looked_up=3, not_founds=2, not_found_at=invoice.issued_at)
    told = story(invoice, root)
    assert {"refund", "file"} <= {m.kind for m in told}
    assert [m.why for m in told if m.kind == "refund"] == ["cold coffee"]
    (attempt,) = [m for m in told if m.kind == "attempt"]
    assert attempt.facts["looked up"].startswith("3 times; 2 not-found")


def test_what_happened_to_others_is_not_in_it(root: User) -> None:
    invoice = invoice_history.eventful_invoice(root)
    before = len(story(invoice, root))
    other = cast.waiting(orderId=invoice.order_id)  # the same name for an order of another merchant
    invoice_history.receive_event("payment.succeeded", cast.payment(cast.seller(), orderId=invoice.order_id))
    invoice_history.edit(other.merchant, root, "elsewhere", name="Elsewhere")
    assert len(story(invoice, root)) == before


def test_what_the_merchant_does_after_the_end_is_not_this_invoices_story(root: User) -> None:
    invoice = cast.issued()
    invoice_history.edit(invoice.merchant, root, "later", name="Later")
    assert "edit" not in {m.kind for m in story(invoice, root) if m.why == "later"}


def test_the_story_hides_the_buyer_whoever_reads(client: Client, root: User) -> None:
    told = story(invoice_history.eventful_invoice(root), root)
    assert not [word for word in PERSON if word in "".join(map(repr, told))]


def test_an_order_with_a_closed_event_has_its_page(client: Client, root: User) -> None:
    merchant = cast.seller()
    sale = cast.payment(merchant)
    body = json.dumps(cast.event("payment.succeeded", sale | {"total": 1})).encode()
    receiving.receive("internal", "wrong", body, "1")
    receiving.close(WebhookEvent.objects.values_list("pk", flat=True))
    invoice_history.receive_event("payment.succeeded", sale)
    client.force_login(root)
    told = text(client.get(address_of(Invoice.objects.get())))
    assert "came in: refused, and nothing is to be done about it any more" in told and "badge-closed" in told


@pytest.mark.parametrize(
    ("words", "choices"),
    [
        (webhooks_told.GOT, WebhookEvent.Status), (webhooks_told.TOLD, WebhookDelivery.State),
        (invoices_told.ASKED_BY, InvoiceRequest.Source), (invoices_told.TRIED, InvoiceIssuance.Outcome),
    ],
)  # fmt: skip
def test_the_story_has_words_for_whatever_a_row_may_say(words: dict[str, str], choices: Any) -> None:
    assert set(words) >= set(choices) - {InvoiceIssuance.Outcome.ISSUED}


def test_acts_on_its_events_and_deliveries_are_in_the_story(client: Client, groups: None) -> None:
    operator = as_one_of(client, "operator")
    merchant = invoice_history.seller_with_endpoint()
    sale = cast.payment(merchant)
    for wrong in ("replayed", "closed"):
        body = json.dumps(cast.event("payment.succeeded", sale | {"total": 1})).encode()
        receiving.receive("internal", wrong, body, "1")
    invoice_history.receive_event("payment.succeeded", sale)
    invoice = cancel(Invoice.objects.get(), actor="test", reason="test")
    replayed, closed = WebhookEvent.objects.filter(status="refused").order_by("pk")
    delivery = WebhookDelivery.objects.get(invoice=invoice)
    for act, row in (("replay", replayed), ("close", closed), ("replay", delivery)):
        perform(client, act, row)
    acts = [m for m in story(invoice, operator) if m.kind == "edit" and m.actor == operator.username]
    assert [(m.sentence, m.why) for m in acts] == [
        ("Webhook payment.succeeded: Replay: done", REASON),
        ("Webhook payment.succeeded: Close: closed", REASON),
        ("Webhook invoice.cancelled: Send again: due now", REASON),
    ]
    for act in acts:
        assert REASON in text(client.get(act.link))


class TestWhoSeesWhat:
    def test_support_sees_the_buyer_and_no_claim_link(self, client: Client, groups: None, root: User) -> None:
        invoice = invoice_history.eventful_invoice(root)
        as_one_of(client, "support")
        told = text(client.get(address_of(invoice)))
        assert all(word in told for word in PERSON) and invoice.claim_token not in told
        assert "Not shown to you" not in told

    def test_finance_sees_money_attempts_and_nobody(self, client: Client, groups: None, root: User) -> None:
        invoice = invoice_history.eventful_invoice(root)
        user = as_one_of(client, "finance")
        told = text(client.get(address_of(invoice)))
        assert not [word for word in PERSON if word in told]
        assert "individual · •••" in told and "Not shown to you: payments" in told
        assert kinds(invoice, user) == {"attempt"}

    def test_a_companys_tax_code_is_public_and_its_address_is_not(self, client: Client, groups: None) -> None:
        invoice = cast.waiting(buyer=cast.COMPANY)
        as_one_of(client, "finance")
        told = text(client.get(address_of(invoice)))
        assert cast.COMPANY["taxCode"] in told
        assert not [cast.COMPANY[name] for name in ("name", "address", "email") if cast.COMPANY[name] in told]

    def test_the_configuration_is_for_those_who_may_see_merchants(
        self, root: User, groups: None, client: Client
    ) -> None:
        invoice = cast.waiting()
        assert "Configuration</h2>" not in text(_as(client, "finance").get(address_of(invoice)))
        assert "Configuration</h2>" in text(_as(client, "support").get(address_of(invoice)))


def _as(client: Client, group: str) -> Client:
    as_one_of(client, group)
    return client


def test_a_long_history_is_cut_says_so_and_leads_to_all_of_it(client: Client, root: User) -> None:
    invoice = invoice_history.add_audit_rows(invoice_history.eventful_invoice(root), timeline.CAP + 5)
    client.force_login(root)
    told = text(client.get(address_of(invoice)))
    everything = f"/admin/invoices/invoiceaudittracing/?invoice__id__exact={invoice.pk}"
    assert f'<a href="{everything}">Earlier audit rows are left out here: see all.</a>' in told
    assert "fact 104" in told and "The invoice was opened" not in told
    assert text(client.get(everything)).count("fact_noted") >= 50


def test_as_many_questions_for_the_longest_story_as_for_the_shortest(client: Client, root: User) -> None:
    client.force_login(root)
    short, eventful = cast.waiting(), invoice_history.eventful_invoice(root)
    text(client.get(address_of(short)))
    counts = []
    for invoice in (short, eventful, invoice_history.add_audit_rows(eventful, timeline.CAP + 5)):
        with CaptureQueriesContext(connection) as seen:
            text(client.get(address_of(invoice)))
        counts.append(len(seen))
    assert counts[1] == counts[2] <= 23
    assert counts[1] - counts[0] <= 3  # where there are any: users' names, acts on its events, on its deliveries


def test_a_part_that_another_room_adds_is_told(root: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("merchants.timeline.entries", an_extra_part)
    assert "extra" in kinds(cast.waiting(), root)


def an_extra_part(of: timeline.Subject) -> list[timeline.Moment]:
    return [timeline.Moment(at=of.since, kind="extra", sentence="Something else")]


class TestThePaper:
    def test_before_the_first_take_it_says_that_it_is_not_sent_yet(self, client: Client, root: User) -> None:
        client.force_login(root)
        told = text(client.get(address_of(cast.waiting())))
        assert "as it would be drawn up now" in told and "Bán cho người tiêu dùng" in told

    def test_afterwards_it_is_the_frozen_one_whatever_becomes_of_the_row(self, client: Client, root: User) -> None:
        client.force_login(root)
        invoice = cast.issued()
        Invoice.objects.filter(pk=invoice.pk).update(bill={})
        told = text(client.get(address_of(invoice)))
        assert "sent byte for byte" in told and "Cà phê sữa đá" in told

    def test_one_that_cannot_be_drawn_up_is_no_error(self, root: User) -> None:
        invoice = cast.waiting()
        invoice.bill = {}
        paper = page_of(invoice, root)["paper"]
        assert paper.document is None and paper.problem.startswith("It cannot be drawn up")


def test_the_configuration_then_and_now(client: Client, root: User) -> None:
    invoice = cast.waiting()
    client.force_login(root)
    assert "Nothing has changed since it was opened" in text(client.get(address_of(invoice)))
    invoice_history.edit(invoice.merchant.tax_info, root, "moved", address="7 Hàng Bài")
    told = text(client.get(address_of(invoice)))
    assert "<del>1 Phan Chu Trinh</del>" in told and "<ins>7 Hàng Bài</ins>" in told


def test_the_configuration_is_beside_the_account_that_would_be_taken_today(client: Client, root: User) -> None:
    invoice = cast.failed()
    client.force_login(root)
    invoice.account.remove("the contract ended")
    told = text(client.get(address_of(invoice)))
    assert f"<del>{invoice.account_id}</del>" in told and "Nothing has changed" not in told
    other = cast.account(invoice.merchant, symbol="C26TBB")
    told = text(client.get(address_of(invoice)))
    assert f"<del>{invoice.account_id}</del>" in told and f"<ins>{other.pk}</ins>" in told
    assert refresh_configuration(invoice, actor="user:1", reason="r").account == other
    assert "Nothing has changed" in text(client.get(address_of(invoice)))


def test_neighbours_are_linked_both_ways(client: Client, root: User) -> None:
    original, correction = cast.issued(), cast.waiting()
    Invoice.objects.filter(pk=correction.pk).update(relates_to=original, kind="replacement", document_no=2)
    client.force_login(root)
    assert f'<dd><a href="{address_of(correction)}">' in text(client.get(address_of(original)))
    assert f'<dd><a href="{address_of(original)}">' in text(client.get(address_of(correction)))


def test_an_unknown_invoice_is_not_found(client: Client, root: User) -> None:
    client.force_login(root)
    for pk in ("1", "nonsense"):
        assert client.get(f"/admin/invoices/invoice/{pk}/change/").status_code == 302  # Django's way: to the index


def test_an_event_without_a_sentence_is_told_by_its_name() -> None:
    assert sentence("something_new") == "Something new" and sentence("opened") == EVENTS["opened"]
