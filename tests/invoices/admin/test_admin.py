"""The operators' console, page by page."""

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

from config.base import clock
from config.console.lists import CappedPaginator
from config.models import Configuration
from invoices.models import Invoice, InvoiceFile
from invoices.opening.conclude import apply_facts
from invoices.opening.facts import parse_payment as payment_fact
from merchants.models import ProviderAccount, TaxInfo
from tests import cast
from webhooks.models import WebhookEndpoint, WebhookEvent

pytestmark = pytest.mark.django_db
INVOICES = "/admin/invoices/invoice/"


@pytest.fixture
def console(client):
    client.force_login(User.objects.create_superuser("root", password="x"))
    return client


def sign_in_as(client, group: str) -> User:
    user = User.objects.create_user(group, password="x", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client.force_login(user)
    return user


def page_text(response) -> str:
    assert response.status_code == 200, response
    return response.content.decode()


def change_url(row) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def count_queries(client, url: str) -> int:
    with CaptureQueriesContext(connection) as seen:
        page_text(client.get(url))
    return len(seen)


def company_invoice(**overrides) -> Invoice:
    return apply_facts(
        *payment_fact(cast.payment(cast.seller(), buyer=cast.COMPANY, **overrides)), actor="test"
    ).invoice


def test_every_model_has_its_pages_and_none_can_be_deleted(console, rf):
    request = rf.get("/")
    request.user = User.objects.get()
    ours = [m for m in admin.site._registry if m._meta.app_label in ("config", "merchants", "invoices", "webhooks")]
    assert len(ours) == 21
    for model, model_admin in admin.site._registry.items():
        assert not model_admin.has_delete_permission(request), model
        assert "delete_selected" not in model_admin.get_actions(request)
    for model in ours:
        page_text(console.get(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")))


def test_rows_written_by_the_system_cannot_be_edited(console):
    for row in (cast.issued(), cast.issued().issuances.get(), cast.issued().tracings.first()):
        url = change_url(row)
        page_text(console.get(url))
        assert console.post(url, {"state": "CANCELLED"}).status_code == 403
        assert console.get(re.sub(r"\d+/change/$", "add/", url)).status_code == 403
        assert console.post(re.sub("change/$", "delete/", url), {"post": "yes"}).status_code == 403


def test_the_list_shows_total_and_state_but_no_buyer(console):
    invoice = company_invoice()
    page = page_text(console.get(INVOICES))
    assert invoice.order_id in page and "110.000\u00a0₫" in page
    assert '<span class="badge badge-waiting">WAITING</span>' in page
    assert cast.COMPANY["name"] not in page and cast.COMPANY["email"] not in page


def test_the_page_shows_number_lines_buyer_and_audit(console):
    invoice = cast.issued(number="7")
    page = page_text(console.get(change_url(invoice)))
    for word in ("C26TAA-7", "Cà phê sữa đá", "the consumer", "QUEUED → SENDING", "badge-issued", "opened"):
        assert word in page, word


def test_the_page_shows_the_buyer_to_operators_but_never_the_claim_link(console):
    invoice = company_invoice()
    page = page_text(console.get(change_url(invoice)))
    assert cast.COMPANY["name"] in page
    assert invoice.claim_token and invoice.claim_token not in page


@pytest.mark.parametrize("search", ["order_id", "prefix", "number"])
def test_an_invoice_is_found_by_order_beginning_or_number(console, search):
    invoice, other = cast.issued(number="4711", orderId="find-me-1"), cast.issued(orderId="other-1")
    term = {"order_id": "find-me-1", "prefix": "find-", "number": "4711"}[search]
    page = page_text(console.get(INVOICES, {"q": term}))
    assert change_url(invoice) in page and change_url(other) not in page


def test_the_search_of_the_list_uses_its_index():
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
    page = page_text(console.get(f"{INVOICES}?{choice}"))
    assert change_url(wanted) in page and change_url(other) not in page


def test_an_unknown_value_in_a_filter_is_not_an_error(console):
    page_text(console.get(f"{INVOICES}?merchant=x&partition=y"))


def test_the_list_needs_as_many_queries_for_one_row_as_for_many(console):
    merchant = cast.seller()
    cast.issued(merchant)
    count_queries(console, INVOICES)  # content types are cached from now on
    few = count_queries(console, INVOICES)
    for _ in range(6):
        cast.issued(cast.seller())
    assert count_queries(console, INVOICES) == few <= 10


def test_the_page_needs_as_many_queries_for_a_short_timeline_as_for_a_long_one(console):
    short, long = cast.waiting(), cast.issued(buyer=cast.COMPANY)
    for at in range(5):
        apply_facts(
            payment_fact(cast.payment(long.merchant, orderId=long.order_id, paymentId=f"p{at}"))[0], actor="test"
        )
    long.requests.create(merchant_code="m", order_id="o", request_id="r", source="api", requested_at=long.paid_at,
                         buyer=cast.PERSON)  # fmt: skip
    count_queries(console, change_url(short))
    # Account and merchant are read once each, however many attempts there are.
    assert count_queries(console, change_url(short)) == count_queries(console, change_url(long)) <= 20


def test_counting_stops_at_the_limit(monkeypatch):
    monkeypatch.setattr(CappedPaginator, "LIMIT", 2)
    for _ in range(3):
        cast.waiting()
    assert CappedPaginator(Invoice.objects.order_by("-pk"), 50).count == 2


def test_files_are_downloads(console, media):
    invoice = cast.issued(number="8")
    file = InvoiceFile(invoice=invoice, kind="pdf", sha256=hashlib.sha256(b"%PDF").hexdigest(), size=4)
    file.file.save("x.pdf", ContentFile(b"%PDF"))
    url = reverse("admin:invoices_invoice_file", args=[invoice.pk, "pdf"])
    assert url in page_text(console.get(change_url(invoice)))
    response = console.get(url)
    assert b"".join(response.streaming_content) == b"%PDF"
    assert response["Content-Disposition"] == 'attachment; filename="1C26TAA-8.pdf"'
    assert console.get(url.replace("pdf", "xml")).status_code == 404


def test_files_need_their_permission(client, media):
    user = User.objects.create_user("u", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_invoice"))
    client.force_login(user)
    assert client.get(reverse("admin:invoices_invoice_file", args=[1, "pdf"])).status_code == 403


def test_facts_and_events_hide_the_buyer(console, client):
    sale = cast.payment(cast.seller(), buyer={**cast.PERSON, "email": "mai@example.com"})
    client.post("/v1/api/webhooks/internal", **cast.signed(cast.event("payment.succeeded", sale)))
    invoice = Invoice.objects.get()
    for row in (WebhookEvent.objects.get(), invoice.requests.get()):
        page = page_text(console.get(change_url(row)))
        assert sale["orderId"] in page
        for secret in ("Nguyễn Thị Mai", "0901234567", "mai@example.com", invoice.claim_token):
            assert secret not in page


def test_the_history_of_an_invoice_shows_its_moves_and_no_buyer(console):
    invoice = company_invoice()
    page = page_text(console.get(reverse("admin:invoices_invoice_history", args=[cast.issued().pk])))
    assert "SENDING" in page and "ISSUED" in page
    assert cast.COMPANY["name"] not in page_text(
        console.get(reverse("admin:invoices_invoice_history", args=[invoice.pk]))
    )


def test_the_history_uses_our_clock():
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

    def test_a_login_can_be_entered_and_is_never_shown(self, console):
        account = cast.seller().accounts.get()
        before = account.credentials_fingerprint
        page = page_text(console.get(change_url(account)))
        assert before in page and account.encrypted_credentials not in page
        assert account.credentials["password"] not in page
        console.post(change_url(account), self.form(account, username="new-name", password="n3w secret"))
        account.refresh_from_db()
        assert account.credentials == {"username": "new-name", "password": "n3w secret"}
        assert account.credentials_fingerprint != before
        for url in (change_url(account), reverse("admin:merchants_provideraccount_history", args=[account.pk])):
            page = page_text(console.get(url))
            assert "n3w secret" not in page and "new-name" not in page and account.encrypted_credentials not in page

    def test_an_empty_login_keeps_the_old_one(self, console):
        account = cast.seller().accounts.get()
        console.post(change_url(account), self.form(account, in_flight=3))
        changed = ProviderAccount.objects.get(pk=account.pk)
        assert changed.in_flight == 3 and changed.credentials == account.credentials
        assert changed.history.first().history_user.username == "root"

    def test_half_a_login_is_refused(self, console):
        account = cast.seller().accounts.get()
        half = self.form(account, username="only")
        assert "both the username and the password" in page_text(console.post(change_url(account), half))

    def test_another_host_needs_the_login_again(self, console):
        account = cast.seller().accounts.get()
        moved = self.form(account, base_url="https://elsewhere.example")
        assert "enter the login again" in page_text(console.post(change_url(account), moved))

    def test_the_symbol_of_an_account_stays(self, console):
        account = cast.seller().accounts.get()
        console.post(change_url(account), self.form(account, symbol="C26TZZ"))
        account.refresh_from_db()
        assert account.symbol == "C26TAA"

    def test_the_login_of_a_new_account_can_be_decrypted(self, console):
        merchant = cast.seller()
        key = {"merchant": merchant.pk, "provider": "viettel", "form": "1", "symbol": "C27TAA"}
        new = {**key, "base_url": "https://a.example", "username": "u", "password": "p", "reason": "r"}
        assert console.post("/admin/merchants/provideraccount/add/", new).status_code == 302
        assert merchant.accounts.get(symbol="C27TAA").credentials == {"username": "u", "password": "p"}
        assert "already has an account" in page_text(console.post("/admin/merchants/provideraccount/add/", new))

    def test_an_earlier_version_has_no_page_and_cannot_be_restored(self, console):
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
            change_url(row),
            "/admin/config/configuration/",
            reverse("admin:config_configuration_history", args=[row.pk]),
        )
        for url in pages:
            page = page_text(console.get(url))
            assert "hush-hush" not in page and row.value not in page
        console.post(change_url(row), {"text": "", "description": "what it is for", "reason": "asked for"})
        row.refresh_from_db()
        assert (row.read(), row.description) == ("hush-hush", "what it is for")

    def test_a_plain_value_is_shown_and_can_be_emptied(self, console):
        console.post(self.ADD, {"key": "claims.notice", "text": "Back at noon", "reason": "asked for"})
        row = Configuration.objects.get(key="claims.notice")
        assert "Back at noon" in page_text(console.get(change_url(row)))
        console.post(change_url(row), {"text": "", "description": "", "reason": "asked for"})
        assert Configuration.objects.get(key="claims.notice").read() == ""


def test_an_invalid_tax_code_is_refused_by_the_form(console):
    info = TaxInfo.objects.get(merchant=cast.seller())
    typed = {"tax_code": "0100109107", "legal_name": "x", "address": "y", "method": "deduction"}
    assert "tenth digit" in page_text(console.post(change_url(info), typed))


def test_the_event_types_of_an_endpoint_can_be_empty(console):
    new = {"url": "https://a.example/h", "event_types": "", "reason": "asked for"}
    assert console.post("/admin/webhooks/webhookendpoint/add/", new).status_code == 302
    assert WebhookEndpoint.objects.get().event_types == []


def test_communes_are_found_without_accents(console):
    call_command("loaddata", "admin_units", verbosity=0)
    assert "Hoàn Kiếm" in page_text(console.get("/admin/merchants/administrativeunit/", {"q": "Hoàn kiem"}))


class TestGroups:
    def test_support_can_view_and_not_edit(self, client, groups):
        sign_in_as(client, "support")
        invoice = cast.issued()
        for row in (invoice, invoice.merchant, invoice.account):
            page_text(client.get(change_url(row)))
            assert client.post(change_url(row), {}).status_code == 403
        assert client.get("/admin/config/configuration/").status_code == 403

    def test_finance_sees_invoices_and_no_merchant(self, client, groups):
        sign_in_as(client, "finance")
        invoice = cast.issued()
        page_text(client.get(change_url(invoice)))
        assert client.get(change_url(invoice.merchant)).status_code == 403

    def test_security_changes_logins_and_sees_no_invoice(self, client, groups):
        sign_in_as(client, "security")
        invoice = cast.issued()
        assert "Password" in page_text(client.get(change_url(invoice.account)))
        assert client.get(change_url(invoice)).status_code == 403
