"""Every editable row has its history: who changed what, when and why; and nobody learns a secret from it."""

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
    answer = client.get(address(row, "history"))
    assert answer.status_code == 200
    return answer.content.decode()


def tax_form(info: TaxInfo, **changes: str) -> dict[str, str]:
    kept = {name: getattr(info, name) for name in ("tax_code", "legal_name", "address", "email", "phone", "method")}
    return kept | {"commune": "", "reason": ""} | changes


def test_whatever_people_may_edit_has_a_history(rf: object) -> None:
    request = rf.get("/")  # type: ignore[attr-defined]
    request.user = User.objects.create_superuser("root")
    edited = [m for m, at in admin.site._registry.items() if at.has_change_permission(request)]
    without = {m for m in edited if not (hasattr(m, "history") and isinstance(admin.site._registry[m], HistoryAdmin))}
    assert without <= {User, Group}  # Django keeps a log of its own of these
    assert {Merchant, TaxInfo, ProviderAccount, WebhookEndpoint, Configuration} <= set(edited)


EDITED = [Merchant, TaxInfo, ProviderAccount, WebhookEndpoint, Configuration]


@pytest.mark.parametrize("model", EDITED)
def test_an_edit_must_say_why(console: Client, model: Any) -> None:
    cast.seller()
    WebhookEndpoint.objects.create(url="https://cafe.example/hooks")
    Configuration(key="k").write("v")
    answer = console.post(address(model.objects.first()), {"reason": ""})
    assert answer.status_code == 200
    assert "reason" in answer.context["adminform"].form.errors


def test_who_what_and_why_are_told_and_people_are_not(console: Client) -> None:
    info = cast.seller().tax_info
    form = tax_form(info, address="7 Hàng Bài", phone="0241234567", reason="moved to another street")
    assert console.post(address(info), form).status_code == 302
    told = history_of(console, info)
    assert "<td>thu</td>" in told and "moved to another street" in told
    assert "<dt>address</dt><dd><del>1 Phan Chu Trinh</del> → <ins>7 Hàng Bài</ins></dd>" in told
    assert "<dt>phone</dt><dd><del>–</del> → <ins>•••</ins></dd>" in told and "0241234567" not in told


def test_a_new_login_is_told_without_its_mark(console: Client) -> None:
    account = cast.seller().accounts.get()
    form = {"base_url": account.base_url, "template": "1/001", "is_active": "on", "username": "u", "password": "p4ss"}
    console.post(address(account), form | {"reason": "the vendor gave a new one"})
    told = history_of(console, account)
    account.refresh_from_db()
    assert "credentials mark" in told and "the vendor gave a new one" in told
    assert account.credentials_fingerprint not in told and "p4ss" not in told


def test_a_configurations_reason_is_kept_though_it_saves_in_its_own_way(console: Client) -> None:
    console.post("/admin/config/configuration/add/", {"key": "k", "text": "v", "reason": "for the fair"})
    version = Configuration.objects.get(key="k").history.get()
    assert (version.history_change_reason, version.history_user.username) == ("for the fair", "thu")


def test_a_page_that_somebody_overtook_changes_nothing_and_a_worker_s_write_is_kept(console: Client) -> None:
    merchant = cast.seller()
    page = console.get(address(merchant)).context["adminform"].form
    opened = {name: value for name in page.fields if (value := page[name].value()) not in (None, False)}
    form = opened | {"name": "Sương Mai Coffee", "reason": "a new sign"}
    Merchant.objects.update(is_active=False)  # by the platform
    assert "Somebody else has changed it" in console.post(address(merchant), form).text
    Merchant.objects.update(is_active=True, tax_problem="by a worker: no field of this page")
    with CaptureQueriesContext(connection) as seen:
        assert console.post(address(merchant), form).status_code == 302
    assert any("FOR NO KEY UPDATE" in query["sql"] for query in seen)
    merchant.refresh_from_db()
    assert (merchant.name, merchant.is_active, merchant.tax_problem[:11]) == ("Sương Mai Coffee", True, "by a worker")


def test_an_invoice_s_versions_tell_who_moved_it_and_why_as_its_audit_does(console: Client) -> None:
    invoice = cast.failed(failure="exhausted")
    cancel(invoice, actor=f"user:{User.objects.get().pk}", reason="the buyer called")
    told = history_of(console, invoice)
    assert re.search(r"<td>thu</td>\s*<td>the buyer called</td>", told)
    assert re.search(r"<td>test</td>", told)  # who opened it


def test_an_impossible_address_of_a_history_is_not_found(console: Client) -> None:
    rows = [cast.waiting(), cast.seller().accounts.get(), cast.seller().tax_info]
    for row in rows:
        page = address(row, "history")
        assert console.get(page).status_code == 200
        for pk in ("abc", "1", "%00"):
            assert console.get(page.replace(str(row.pk), pk)).status_code == 404
            assert console.get(page.replace(str(row.pk), pk) + "abc/").status_code in (302, 404)


def test_the_platforms_changes_say_where_they_came_from(console: Client) -> None:
    merchant = cast.seller()
    merchant._change_reason = "platform.public.merchants-0-7"  # type: ignore[attr-defined]
    merchant.name = "Sương Mai Coffee"
    merchant.save()
    told = history_of(console, merchant)
    assert "the system" in told and "platform.public.merchants-0-7" in told and "Sương Mai Coffee" in told


def test_who_may_only_look_is_asked_nothing(client: Client) -> None:
    user = User.objects.create_user("lan", is_staff=True)
    from django.contrib.auth.models import Permission

    user.user_permissions.set(Permission.objects.filter(codename__in=["view_merchant", "view_partition"]))
    client.force_login(user)
    for row in (cast.seller(), Partition.objects.create(number=0)):
        page = client.get(address(row))
        assert page.status_code == 200 and 'name="reason"' not in page.content.decode()


def test_acts_stand_between_the_versions_that_they_happened_between(console: Client) -> None:
    merchant, who = cast.seller(), User.objects.get()
    for at in range(150):
        merchant.name = f"name {at}"
        merchant.save()
        if at % 50 == 20:
            action_log.write(who.pk, merchant, f"Resync: reason {at} – unchanged")
    pages = [console.get(address(merchant, "history"), {"p": page}).content.decode() for page in (1, 2)]
    assert [[at for at in (20, 70, 120) if f"<td>reason {at}</td>" in page] for page in pages] == [[70, 120], [20]]
    lines = re.findall(r"<td>reason 120</td>|<ins>name \d+</ins>", pages[0])
    assert lines[lines.index("<td>reason 120</td>") - 1] == "<ins>name 121</ins>"


def test_a_row_that_was_only_acted_on_tells_it(console: Client) -> None:
    partition = Partition(number=0)
    Partition.objects.bulk_create([partition])
    assert "Nobody has changed it" in history_of(console, partition)
    action_log.write(User.objects.get().pk, partition, "Resume: no reason – it was not paused")
    assert "<td>no reason</td>" in history_of(console, partition)


def test_the_acts_of_a_row_are_read_by_their_index() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        assert "actions_of_row" in action_log.lines_of(Merchant, [1, 2]).explain()


def test_a_long_history_asks_as_often_as_a_short_one_and_shows_every_difference(console: Client) -> None:
    merchant = cast.seller()
    history_of(console, merchant)
    counts = []
    for more in (1, 120):
        for at in range(more):
            merchant.name = f"{more} {at}"
            merchant.save()
        with CaptureQueriesContext(connection) as seen:
            told = history_of(console, merchant)
        counts.append(len(seen))
    assert counts[0] == counts[1] <= 8
    assert told.count("<dt>name</dt>") == 100  # the oldest of a page is compared with the next page's first
