"""Secrets are entered everywhere, then searched for everywhere: in the whole database, in the log, on every page."""

import logging
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client
from django.urls import reverse

from config.base import webhook_secrets
from config.base.encrypted_columns import ENCRYPTED_COLUMNS
from config.models import Configuration
from merchants.models import ProviderAccount
from tests import cast
from webhooks.models import WebhookEndpoint

pytestmark = pytest.mark.django_db
MARKER = "correct-horse-battery"


def admin_url(row: Any, page: str) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{page}", args=[row.pk])


def tables_with(word: str) -> set[str]:
    """Every table of the database that has the word in any column of any row."""
    with connection.cursor() as cursor:
        return {
            table
            for table in connection.introspection.table_names(cursor)
            if cursor.execute(f'SELECT 1 FROM "{table}" AS t WHERE strpos(t::text, %s) > 0 LIMIT 1', [word])
            and cursor.fetchone()
        }


@pytest.fixture
def typed(admin_client: Client, caplog: Any) -> dict[str, str]:
    """Creates and changes an account, a setting and an endpoint, by code and in the console.

    Returns secrets and envelopes, each with the only table that may hold it.
    """
    caplog.set_level(logging.INFO)
    merchant = cast.seller()
    fields = {"merchant": merchant.pk, "provider": "viettel", "form": "1", "symbol": "C27TAA"}
    login = {"base_url": "https://a.example", "username": f"{MARKER}-name", "password": f"{MARKER}-1", "reason": "r"}
    assert post(admin_client, "/admin/merchants/provideraccount/add/", fields | login).status_code == 302
    account = merchant.accounts.get(symbol="C27TAA")
    page = admin_url(account, "change")
    assert post(admin_client, page, {**login, "username": ""}).status_code == 200  # half a login is a mistake
    assert post(admin_client, page, {**login, "password": f"{MARKER}-2"}).status_code == 302
    account.refresh_from_db()
    account.set_credentials({"username": f"{MARKER}-name", "password": f"{MARKER}-3"})
    account.save()

    add = "/admin/config/configuration/add/"
    assert post(admin_client, add, {"key": "", "is_secret": "on", "text": MARKER, "reason": "r"}).status_code == 200
    assert post(admin_client, add, {"key": "k", "is_secret": "on", "text": MARKER, "reason": "r"}).status_code == 302
    setting = Configuration.objects.get(key="k")
    assert post(admin_client, admin_url(setting, "change"), {"text": f"{MARKER}-2", "reason": "r"}).status_code == 302
    setting.refresh_from_db()
    setting.write(f"{MARKER}-3")

    add = "/admin/webhooks/webhookendpoint/add/"
    secret = webhook_secrets.make()
    hook = {"url": "https://a.example/h", "event_types": "[]", "secret": secret, "reason": "r"}
    assert post(admin_client, add, {**hook, "secret_label": "two words"}, hides=secret).status_code == 200
    assert post(admin_client, add, {**hook, "secret_label": "first"}, hides=secret).status_code == 302
    endpoint = WebhookEndpoint.objects.get()
    page = admin_url(endpoint, "change")
    broken = {**hook, "secret": f"whsec_{MARKER}", "secret_label": "x"}
    assert post(admin_client, page, broken).status_code == 200
    more = [webhook_secrets.make(), endpoint.add_secret("third")]
    assert post(admin_client, page, {**hook, "secret": more[0], "secret_label": "second"}).status_code == 302

    row = ProviderAccount.objects.get(pk=account.pk)
    endpoint.refresh_from_db()
    assert row.credentials["password"] == f"{MARKER}-3" and setting.read() == f"{MARKER}-3"
    assert [kept.label for kept in endpoint.live_secrets()] == ["second", "third", "first"]
    return {
        row.encrypted_credentials: "merchants_provideraccount",
        setting.value: "config_configuration",
        endpoint.encrypted_secrets: "webhooks_webhookendpoint",
        **dict.fromkeys([MARKER, secret, *more], ""),
    }


def post(client: Client, url: str, data: dict[str, Any], *, hides: str = MARKER) -> Any:
    response = client.post(url, data)
    assert hides not in response.content.decode(), url
    return response


def test_a_secret_is_only_in_its_own_column_and_encrypted(typed: dict[str, str]) -> None:
    for words, table in typed.items():
        assert tables_with(words) == ({table} if table else set())
        # a part of the envelope, in case it is stored inside JSON
        assert tables_with(words[12:40]) == ({table} if table else set())
    assert tables_with("C27TAA") >= {
        "merchants_provideraccount",
        "merchants_historicalprovideraccount",
    }  # the search works


def test_no_page_of_the_console_and_no_log_line_shows_a_secret(
    typed: dict[str, str], admin_client: Client, caplog: Any
) -> None:
    pages = ["/admin/"]
    for column in ENCRYPTED_COLUMNS:
        model = apps.get_model(column.model)
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        pages.append(reverse(f"{name}_changelist"))
        for row in model.objects.all():
            pages += [admin_url(row, "change"), admin_url(row, "history")]
    assert len(pages) > 11
    text = "".join(page_text(admin_client, page) for page in pages) + caplog.text
    assert "C27TAA" in text and "second, third until" in text
    for words in typed:
        assert words not in text


def page_text(client: Client, page: str) -> str:
    response = client.get(page)
    assert response.status_code == 200, page
    return response.content.decode()


def test_no_history_has_an_encrypted_column() -> None:
    for column in ENCRYPTED_COLUMNS:
        model = apps.get_model(column.model)
        assert column.field not in {field.name for field in model.history.model._meta.get_fields()}
