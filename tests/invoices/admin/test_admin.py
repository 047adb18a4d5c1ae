"""The operators' console, pressed page by page."""

import hashlib
import re
from datetime import datetime

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from config.admin import CappedPaginator
from config.base import clock
from config.models import Configuration
from invoices.models import Invoice, InvoiceFile
from invoices.opening.conclude import learn
from invoices.opening.facts import payment as payment_fact
from merchants.models import ProviderAccount, TaxInfo
from tests import cast
from webhooks.models import WebhookEndpoint, WebhookEvent

pytestmark = pytest.mark.django_db
INVOICES = "/admin/invoices/invoice/"


@pytest.fixture
def console(client):
    client.force_login(User.objects.create_superuser("root", password="x"))
    return client


def as_one_of(client, group: str) -> User:
    user = User.objects.create_user(group, password="x", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client.force_login(user)
    return user


def text(response) -> str:
    assert response.status_code == 200, response
    return response.content.decode()


def page_of(row) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def queries_of(client, url: str) -> int:
    with CaptureQueriesContext(connection) as seen:
        text(client.get(url))
    return len(seen)


def a_company_order(**overrides) -> Invoice:
    return learn(*payment_fact(cast.payment(cast.seller(), buyer=cast.COMPANY, **overrides)), actor="test").invoice


def test_every_model_of_ours_has_its_pages_and_none_can_be_deleted(console, rf):
    request = rf.get("/")
    request.user = User.objects.get()
    ours = [m for m in admin.site._registry if m._meta.app_label in ("config", "merchants", "invoices", "webhooks")]
    assert len(ours) == 21
    for model, model_admin in admin.site._registry.items():
        assert not model_admin.has_delete_permission(request), model
        assert "delete_selected" not in model_admin.get_actions(request)
    for model in ours:
        text(console.get(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")))


def test_what_the_machine_writes_cannot_be_typed(console):
    for row in (cast.issued(), cast.issued().issuances.get(), cast.issued().tracings.first()):
        url = page_of(row)
        text(console.get(url))
        assert console.post(url, {"state": "CANCELLED"}).status_code == 403
        assert console.get(re.sub(r"\d+/change/$", "add/", url)).status_code == 403
        assert console.post(re.sub("change/$", "delete/", url), {"post": "yes"}).status_code == 403


def test_the_list_shows_the_money_the_state_and_nobodys_name(console):
    invoice = a_company_order()
    told = text(console.get(INVOICES))
    assert invoice.order_id in told and "110.000\u00a0₫" in told
    assert '<span class="badge badge-waiting">WAITING</span>' in told
    assert cast.COMPANY["name"] not in told and cast.COMPANY["email"] not in told


def test_the_page_answers_why(console):
    invoice = cast.issued(number="7")
    told = text(console.get(page_of(invoice)))
    for word in ("C26TAA-7", "Cà phê sữa đá", "the consumer", "QUEUED → SENDING", "badge-issued", "opened"):
        assert word in told, word


def test_the_page_shows_the_buyer_to_operators_but_never_the_claim_link(console):
    invoice = a_company_order()
    told = text(console.get(page_of(invoice)))
    assert cast.COMPANY["name"] in told
    assert invoice.claim_token and invoice.claim_token not in told


@pytest.mark.parametrize("search", ["order_id", "prefix", "number"])
def test_an_invoice_is_found_by_order_beginning_or_number(console, search):
    invoice, other = cast.issued(number="4711", orderId="find-me-1"), cast.issued(orderId="other-1")
    term = {"order_id": "find-me-1", "prefix": "find-", "number": "4711"}[search]
    told = text(console.get(INVOICES, {"q": term}))
    assert page_of(invoice) in told and page_of(other) not in told


def test_the_search_can_use_its_indexes():
    # Without statistics on three rows the planner would rightly read them all.
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        plan = Invoice.objects.filter(order_id__startswith="find-").explain()
    assert "by_order" in plan and "Index Cond" in plan


@pytest.mark.parametrize(
    "choice", ["state=FAILED", "failure=refused", "merchant={merchant}", "partition={partition}", "state__exact=FAILED"]
)
def test_the_filters_narrow_the_list(console, choice):
    wanted = cast.failed(orderId="order-1")
    other = cast.queued(orderId="order-2")  # another merchant, another partition
    choice = choice.format(merchant=wanted.merchant_id, partition=wanted.partition)
    if "__exact" not in choice:
        choice = choice.replace("state=", "state__exact=").replace("failure=", "failure__exact=")
    told = text(console.get(f"{INVOICES}?{choice}"))
    assert page_of(wanted) in told and page_of(other) not in told


def test_nonsense_in_a_filter_is_no_error(console):
    text(console.get(f"{INVOICES}?merchant=x&partition=y"))


def test_the_list_asks_as_often_for_one_row_as_for_many(console):
    merchant = cast.seller()
    cast.issued(merchant)
    queries_of(console, INVOICES)  # content types are cached from now on
    few = queries_of(console, INVOICES)
    for _ in range(6):
        cast.issued(cast.seller())
    assert queries_of(console, INVOICES) == few <= 10


def test_the_page_asks_as_often_for_a_short_story_as_for_a_long_one(console):
    short, long = cast.waiting(), cast.issued(buyer=cast.COMPANY)
    for at in range(5):
        learn(payment_fact(cast.payment(long.merchant, orderId=long.order_id, paymentId=f"p{at}"))[0], actor="test")
    long.requests.create(merchant_code="m", order_id="o", request_id="r", source="api", requested_at=long.paid_at,
                         buyer=cast.PERSON)  # fmt: skip
    queries_of(console, page_of(short))
    # An issued invoice has attempts to show; the account's and the merchant's names are asked for once each.
    assert queries_of(console, page_of(short)) == queries_of(console, page_of(long)) <= 20


def test_counting_ends_at_the_cap(monkeypatch):
    monkeypatch.setattr(CappedPaginator, "LIMIT", 2)
    for _ in range(3):
        cast.waiting()
    assert CappedPaginator(Invoice.objects.order_by("-pk"), 50).count == 2


def test_files_are_saved_not_opened(console, media):
    invoice = cast.issued(number="8")
    file = InvoiceFile(invoice=invoice, kind="pdf", sha256=hashlib.sha256(b"%PDF").hexdigest(), size=4)
    file.file.save("x.pdf", ContentFile(b"%PDF"))
    url = reverse("admin:invoices_invoice_file", args=[invoice.pk, "pdf"])
    assert url in text(console.get(page_of(invoice)))
    answer = console.get(url)
    assert b"".join(answer.streaming_content) == b"%PDF"
    assert answer["Content-Disposition"] == 'attachment; filename="1C26TAA-8.pdf"'
    assert console.get(url.replace("pdf", "xml")).status_code == 404


def test_files_are_for_those_who_may_see_files(client, media):
    user = User.objects.create_user("u", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_invoice"))
    client.force_login(user)
    assert client.get(reverse("admin:invoices_invoice_file", args=[1, "pdf"])).status_code == 403


def test_facts_and_events_hide_the_buyer(console, client):
    sale = cast.payment(cast.seller(), buyer={**cast.PERSON, "email": "mai@example.com"})
    client.post("/v1/api/webhooks/internal", **cast.signed(cast.event("payment.succeeded", sale)))
    invoice = Invoice.objects.get()
    for row in (WebhookEvent.objects.get(), invoice.requests.get()):
        told = text(console.get(page_of(row)))
        assert sale["orderId"] in told
        for secret in ("Nguyễn Thị Mai", "0901234567", "mai@example.com", invoice.claim_token):
            assert secret not in told


def test_the_history_of_an_invoice_shows_its_moves_and_no_buyer(console):
    invoice = a_company_order()
    told = text(console.get(reverse("admin:invoices_invoice_history", args=[cast.issued().pk])))
    assert "SENDING" in told and "ISSUED" in told
    assert cast.COMPANY["name"] not in text(console.get(reverse("admin:invoices_invoice_history", args=[invoice.pk])))


def test_the_history_is_told_by_our_clock_alone():
    with clock.frozen(datetime(2026, 11, 23, 10, tzinfo=clock.VIETNAM)):
        invoice = cast.issued()
        assert {row.history_date for row in invoice.history.all()} == {clock.now()}


class TestProviderAccounts:
    def form(self, account: ProviderAccount, **changes):
        return {
            "base_url": account.base_url,
            "template": "1/001",
            "is_active": "on",
            "username": "",
            "password": "",
            "reason": "a test",
        } | changes

    def test_a_login_is_typed_and_never_shown(self, console):
        account = cast.seller().accounts.get()
        before = account.credentials_mark
        told = text(console.get(page_of(account)))
        assert before in told and account.sealed_credentials not in told
        assert account.credentials["password"] not in told
        console.post(page_of(account), self.form(account, username="new-name", password="n3w secret"))
        account.refresh_from_db()
        assert account.credentials == {"username": "new-name", "password": "n3w secret"}
        assert account.credentials_mark != before
        for url in (page_of(account), reverse("admin:merchants_provideraccount_history", args=[account.pk])):
            told = text(console.get(url))
            assert "n3w secret" not in told and "new-name" not in told and account.sealed_credentials not in told

    def test_an_empty_login_keeps_the_old_one(self, console):
        account = cast.seller().accounts.get()
        console.post(page_of(account), self.form(account, in_flight=3))
        changed = ProviderAccount.objects.get(pk=account.pk)
        assert changed.in_flight == 3 and changed.credentials == account.credentials
        assert changed.history.first().history_user.username == "root"

    def test_half_a_login_is_refused(self, console):
        account = cast.seller().accounts.get()
        assert "changed as a whole" in text(console.post(page_of(account), self.form(account, username="only")))

    def test_another_host_must_be_given_the_login_anew(self, console):
        account = cast.seller().accounts.get()
        moved = self.form(account, base_url="https://elsewhere.example")
        assert "type it again" in text(console.post(page_of(account), moved))

    def test_the_symbol_of_an_account_stays(self, console):
        account = cast.seller().accounts.get()
        console.post(page_of(account), self.form(account, symbol="C26TZZ"))
        account.refresh_from_db()
        assert account.symbol == "C26TAA"

    def test_the_login_of_a_new_account_can_be_read_back_by_the_code(self, console):
        merchant = cast.seller()
        lane = {"merchant": merchant.pk, "provider": "viettel", "form": "1", "symbol": "C27TAA"}
        new = {**lane, "base_url": "https://a.example", "username": "u", "password": "p", "reason": "r"}
        assert console.post("/admin/merchants/provideraccount/add/", new).status_code == 302
        assert merchant.accounts.get(symbol="C27TAA").credentials == {"username": "u", "password": "p"}
        assert "has an account" in text(console.post("/admin/merchants/provideraccount/add/", new))

    def test_an_earlier_version_has_no_page_and_is_never_put_back(self, console):
        account = cast.seller().accounts.get()
        url = reverse("admin:merchants_provideraccount_simple_history", args=[account.pk, account.history.get().pk])
        assert console.get(url).status_code == console.post(url, self.form(account)).status_code == 404


class TestConfigurations:
    ADD = "/admin/config/configuration/add/"

    def test_a_secret_value_is_written_and_never_shown(self, console):
        new = {"key": "k", "is_secret": "on", "text": "hush-hush", "reason": "asked for"}
        assert console.post(self.ADD, new).status_code == 302
        row = Configuration.objects.get(key="k")
        assert row.read() == "hush-hush" and "hush" not in row.value
        pages = (
            page_of(row),
            "/admin/config/configuration/",
            reverse("admin:config_configuration_history", args=[row.pk]),
        )
        for url in pages:
            told = text(console.get(url))
            assert "hush-hush" not in told and row.value not in told
        console.post(page_of(row), {"text": "", "description": "what it is for", "reason": "asked for"})
        row.refresh_from_db()
        assert (row.read(), row.description) == ("hush-hush", "what it is for")

    def test_an_open_value_is_shown_and_may_be_emptied(self, console):
        console.post(self.ADD, {"key": "claims.notice", "text": "Back at noon", "reason": "asked for"})
        row = Configuration.objects.get(key="claims.notice")
        assert "Back at noon" in text(console.get(page_of(row)))
        console.post(page_of(row), {"text": "", "description": "", "reason": "asked for"})
        assert Configuration.objects.get(key="claims.notice").read() == ""


def test_an_impossible_tax_code_is_refused_where_it_is_typed(console):
    info = TaxInfo.objects.get(merchant=cast.seller())
    typed = {"tax_code": "0100109107", "legal_name": "x", "address": "y", "method": "deduction"}
    assert "tenth digit" in text(console.post(page_of(info), typed))


def test_an_endpoints_types_may_be_left_empty(console):
    new = {"url": "https://a.example/h", "event_types": "", "reason": "asked for"}
    assert console.post("/admin/webhooks/webhookendpoint/add/", new).status_code == 302
    assert WebhookEndpoint.objects.get().event_types == []


def test_communes_are_found_without_accents(console):
    call_command("loaddata", "admin_units", verbosity=0)
    assert "Hoàn Kiếm" in text(console.get("/admin/merchants/administrativeunit/", {"q": "Hoàn kiem"}))


class TestGroups:
    def test_support_looks_and_touches_nothing(self, client, groups):
        as_one_of(client, "support")
        invoice = cast.issued()
        for row in (invoice, invoice.merchant, invoice.account):
            text(client.get(page_of(row)))
            assert client.post(page_of(row), {}).status_code == 403
        assert client.get("/admin/config/configuration/").status_code == 403

    def test_finance_sees_invoices_and_no_merchant(self, client, groups):
        as_one_of(client, "finance")
        invoice = cast.issued()
        text(client.get(page_of(invoice)))
        assert client.get(page_of(invoice.merchant)).status_code == 403

    def test_security_changes_logins_and_sees_no_invoice(self, client, groups):
        as_one_of(client, "security")
        invoice = cast.issued()
        assert "Password" in text(client.get(page_of(invoice.account)))
        assert client.get(page_of(invoice)).status_code == 403
