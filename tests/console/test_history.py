"""Every editable row has a history: who changed what, when and why. It shows no secrets."""

import re
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from config.console import action_log
from config.console.admins import HistoryAdmin
from config.models import Configuration
from invoices.models import Partition
from invoices.operations.cancel import cancel
from merchants.models import Merchant, ProviderAccount, TaxInfo
from tests import cast
from webhooks.models import WebhookEndpoint

pytestmark = pytest.mark.django_db


@pytest.fixture
def console(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("thu", password="x"))
    return client


def address(row: object, page: str = "change") -> str:
    meta = row._meta  # type: ignore[attr-defined]
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_{page}", args=[row.pk])  # type: ignore[attr-defined]


def history_of(client: Client, row: object) -> str:
    response = client.get(address(row, "history"))
    assert response.status_code == 200
    return response.content.decode()


def tax_form(info: TaxInfo, **changes: str) -> dict[str, str]:
    current = {name: getattr(info, name) for name in ("tax_code", "legal_name", "address", "email", "phone", "method")}
    return current | {"commune": "", "reason": ""} | changes


def test_every_editable_model_has_a_history(rf: object) -> None:
    request = rf.get("/")  # type: ignore[attr-defined]
    request.user = User.objects.create_superuser("root")
    edited = [m for m, at in admin.site._registry.items() if at.has_change_permission(request)]
    without = {m for m in edited if not (hasattr(m, "history") and isinstance(admin.site._registry[m], HistoryAdmin))}
    assert without <= {User, Group}  # Django has its own log of these
    assert {Merchant, TaxInfo, ProviderAccount, WebhookEndpoint, Configuration} <= set(edited)


EDITED = [Merchant, TaxInfo, ProviderAccount, WebhookEndpoint, Configuration]


@pytest.mark.parametrize("model", EDITED)
def test_an_edit_needs_a_reason(console: Client, model: Any) -> None:
    cast.seller()
    WebhookEndpoint.objects.create(url="https://cafe.example/hooks")
    Configuration(key="k").write("v")
    response = console.post(address(model.objects.first()), {"reason": ""})
    assert response.status_code == 200
    assert "reason" in response.context["adminform"].form.errors


def test_a_history_shows_who_what_and_why_without_personal_data(console: Client) -> None:
    info = cast.seller().tax_info
    form = tax_form(info, address="7 Hàng Bài", phone="0241234567", reason="moved to another street")
    assert console.post(address(info), form).status_code == 302
    page = history_of(console, info)
    assert "<td>thu</td>" in page and "moved to another street" in page
    assert "<dt>address</dt><dd><del>1 Phan Chu Trinh</del> → <ins>7 Hàng Bài</ins></dd>" in page
    assert "<dt>phone</dt><dd><del>–</del> → <ins>•••</ins></dd>" in page and "0241234567" not in page


def test_a_new_login_is_shown_without_its_fingerprint(console: Client) -> None:
    account = cast.seller().accounts.get()
    form = {"base_url": account.base_url, "template": "1/001", "is_active": "on", "username": "u", "password": "p4ss"}
    console.post(address(account), form | {"reason": "the vendor gave a new one"})
    page = history_of(console, account)
    account.refresh_from_db()
    assert "credentials fingerprint" in page and "the vendor gave a new one" in page
    assert account.credentials_fingerprint not in page and "p4ss" not in page


def test_the_reason_of_a_new_setting_is_kept(console: Client) -> None:
    console.post("/admin/config/configuration/add/", {"key": "k", "text": "v", "reason": "for the fair"})
    version = Configuration.objects.get(key="k").history.get()
    assert (version.history_change_reason, version.history_user.username) == ("for the fair", "thu")


def test_an_outdated_page_saves_nothing_and_a_worker_s_write_is_kept(console: Client) -> None:
    merchant = cast.seller()
    page = console.get(address(merchant)).context["adminform"].form
    opened = {name: value for name in page.fields if (value := page[name].value()) not in (None, False)}
    form = opened | {"name": "Sương Mai Coffee", "reason": "a new sign"}
    Merchant.objects.update(is_active=False)  # written by the platform
    assert "This row was changed" in console.post(address(merchant), form).text
    Merchant.objects.update(is_active=True, tax_problem="by a worker, in a field that this page lacks")
    with CaptureQueriesContext(connection) as captured:
        assert console.post(address(merchant), form).status_code == 302
    assert any("FOR NO KEY UPDATE" in query["sql"] for query in captured)
    merchant.refresh_from_db()
    assert (merchant.name, merchant.is_active, merchant.tax_problem[:11]) == ("Sương Mai Coffee", True, "by a worker")


def test_an_invoice_s_versions_name_the_actor_and_reason_of_its_audit(console: Client) -> None:
    invoice = cast.failed(failure="exhausted")
    cancel(invoice, actor=f"user:{User.objects.get().pk}", reason="the buyer called")
    page = history_of(console, invoice)
    assert re.search(r"<td>thu</td>\s*<td>the buyer called</td>", page)
    assert re.search(r"<td>test</td>", page)  # which opened it


def test_the_history_of_an_impossible_id_is_not_found(console: Client) -> None:
    rows = [cast.waiting(), cast.seller().accounts.get(), cast.seller().tax_info]
    for row in rows:
        page = address(row, "history")
        assert console.get(page).status_code == 200
        for pk in ("abc", "1", "%00"):
            assert console.get(page.replace(str(row.pk), pk)).status_code == 404
            assert console.get(page.replace(str(row.pk), pk) + "abc/").status_code in (302, 404)


def test_the_platform_s_changes_name_their_message(console: Client) -> None:
    merchant = cast.seller()
    merchant._change_reason = "platform.public.merchants-0-7"  # type: ignore[attr-defined]
    merchant.name = "Sương Mai Coffee"
    merchant.save()
    page = history_of(console, merchant)
    assert "the system" in page and "platform.public.merchants-0-7" in page and "Sương Mai Coffee" in page


def test_a_reader_without_change_permission_sees_no_reason_field(client: Client) -> None:
    user = User.objects.create_user("lan", is_staff=True)
    from django.contrib.auth.models import Permission

    user.user_permissions.set(Permission.objects.filter(codename__in=["view_merchant", "view_partition"]))
    client.force_login(user)
    for row in (cast.seller(), Partition.objects.create(number=0)):
        page = client.get(address(row))
        assert page.status_code == 200 and 'name="reason"' not in page.content.decode()


def test_actions_are_listed_between_the_versions_before_and_after_them(console: Client) -> None:
    merchant, user = cast.seller(), User.objects.get()
    for at in range(150):
        merchant.name = f"name {at}"
        merchant.save()
        if at % 50 == 20:
            action_log.write(user.pk, merchant, f"Resync: reason {at} – unchanged")
    pages = [console.get(address(merchant, "history"), {"p": page}).content.decode() for page in (1, 2)]
    assert [[at for at in (20, 70, 120) if f"<td>reason {at}</td>" in page] for page in pages] == [[70, 120], [20]]
    lines = re.findall(r"<td>reason 120</td>|<ins>name \d+</ins>", pages[0])
    assert lines[lines.index("<td>reason 120</td>") - 1] == "<ins>name 121</ins>"


def test_a_row_without_versions_shows_its_actions(console: Client) -> None:
    partition = Partition(number=0)
    Partition.objects.bulk_create([partition])
    assert "It was never changed" in history_of(console, partition)
    action_log.write(User.objects.get().pk, partition, "Resume: no reason – it was not paused")
    assert "<td>no reason</td>" in history_of(console, partition)


def test_the_actions_of_a_row_are_read_by_their_index() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        assert "actions_of_row" in action_log.lines_of(Merchant, [1, 2]).explain()


def test_a_long_history_costs_as_many_queries_as_a_short_one_and_shows_every_difference(console: Client) -> None:
    merchant = cast.seller()
    history_of(console, merchant)
    counts = []
    for more in (1, 120):
        for at in range(more):
            merchant.name = f"{more} {at}"
            merchant.save()
        with CaptureQueriesContext(connection) as captured:
            page = history_of(console, merchant)
        counts.append(len(captured))
    assert counts[0] == counts[1] <= 8
    assert page.count("<dt>name</dt>") == 100  # the oldest of a page is compared with the next page's first
