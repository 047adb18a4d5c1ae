"""The credentials key is rotated while the service runs, without errors."""

import threading
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.test import Client

from config.base import crypto
from config.base.encrypted_columns import ENCRYPTED_COLUMNS, rotate
from config.base.ids import new_ids
from config.models import Configuration
from merchants.models import ProviderAccount
from tests import cast
from tests.api.client import ApiClient
from webhooks.models import WebhookEndpoint

OLD, NEW = "ab" * 32, "cd" * 32
ACCOUNTS = next(column for column in ENCRYPTED_COLUMNS if column.model == "merchants.ProviderAccount")


def accounts_with_old_key(count: int, settings: Any) -> list[int]:
    """Ids of accounts encrypted with the old key. Afterwards the new key is the current one."""
    settings.CREDENTIALS_KEYS = [OLD]
    merchant = cast.seller()
    more = [ProviderAccount(pk=pk, merchant=merchant, form="1", symbol="C26TAA") for pk in new_ids(count - 1)]
    for at, account in enumerate(more):
        account.provider = f"vendor-{at}"
        account.set_credentials({"username": f"u{account.pk}", "password": "p"})
    ProviderAccount.objects.bulk_create(more)
    settings.CREDENTIALS_KEYS = [NEW, OLD]
    return [account.pk for account in more]


def run(*arguments: str) -> str:
    output = StringIO()
    call_command("rotate_credentials_key", *arguments, stdout=output, stderr=output)
    return output.getvalue()


@pytest.mark.django_db
def test_every_kind_of_secret_is_encrypted_with_the_new_key(settings: Any) -> None:
    settings.CREDENTIALS_KEYS = [OLD]
    account = cast.seller().accounts.get()
    setting, plain = Configuration(key="k", is_secret=True), Configuration(key="o")
    setting.write("hush")
    plain.write("v1.looks.encrypted")
    gone = Configuration(key="gone", is_secret=True)
    gone.write("still a secret")
    gone.delete()
    endpoint = WebhookEndpoint.objects.create(url="https://a.example/h")
    secret = endpoint.add_secret("first")
    before = account.history.count()

    settings.CREDENTIALS_KEYS = [NEW, OLD]
    assert "merchants.ProviderAccount: 1 would be" in run("--dry-run")
    assert ACCOUNTS.stale.count() == 1
    output = run()
    for line in (
        "config.Configuration: 2 were",
        "merchants.ProviderAccount: 1 were",
        "webhooks.WebhookEndpoint: 1 were",
    ):
        assert line in output
    assert "config.Configuration: 0 were" in run()

    settings.CREDENTIALS_KEYS = [NEW]
    fresh = ProviderAccount.objects.get(pk=account.pk)
    assert fresh.credentials["password"] == f"pass-{account.merchant.code}"
    assert (fresh.updated_at, fresh.history.count()) == (account.updated_at, before)
    assert {row.key: row.read() for row in Configuration.objects.all()} == {
        "k": "hush", "o": "v1.looks.encrypted", "gone": "still a secret",
    }  # fmt: skip
    assert [live.value for live in WebhookEndpoint.objects.get().live_secrets()] == [secret]


@pytest.mark.django_db
def test_a_model_with_an_encrypted_column_has_an_aad() -> None:
    for column in ENCRYPTED_COLUMNS:
        assert column.stale.count() == 0
        assert hasattr(column.rows.model, "aad")


@pytest.mark.django_db
def test_a_secret_that_cannot_be_decrypted_is_named_and_skipped(settings: Any) -> None:
    first, *rest, last = accounts_with_old_key(6, settings)
    foreign = ProviderAccount.objects.get(pk=last).encrypted_credentials
    ProviderAccount.objects.filter(pk=first).update(encrypted_credentials=foreign)
    output = StringIO()
    with pytest.raises(CommandError, match="still needed") as error:
        call_command("rotate_credentials_key", stdout=output, stderr=output)
    assert error.value.returncode == 1
    assert f"merchants.ProviderAccount:{first} cannot be decrypted with any key" in output.getvalue()
    assert "merchants.ProviderAccount: 5 were" in output.getvalue()
    assert ProviderAccount.objects.get(pk=first).encrypted_credentials == foreign
    settings.CREDENTIALS_KEYS = [NEW]
    assert [ProviderAccount.objects.get(pk=pk).credentials["password"] for pk in (*rest, last)] == ["p"] * 4
    for envelope in ProviderAccount.objects.values_list("encrypted_credentials", flat=True):
        assert envelope not in output.getvalue()


@pytest.mark.django_db
def test_an_interrupted_rotation_can_be_continued(settings: Any) -> None:
    accounts_with_old_key(10, settings)
    steps = rotate(ACCOUNTS, step=4)
    assert next(steps).done == 4
    steps.close()
    assert ACCOUNTS.stale.count() == 6
    assert "merchants.ProviderAccount: 6 were" in run()


@pytest.mark.django_db(transaction=True)
def test_a_thousand_secrets_are_rotated_while_they_are_read_without_errors(
    settings: Any, client: Client, admin_client: Client
) -> None:
    accounts = accounts_with_old_key(1000, settings)
    finished, began = threading.Event(), threading.Barrier(5)
    reads: list[int] = []
    failures: list[BaseException] = []

    def read(some: list[int], look: Any) -> None:
        count = 0
        try:
            began.wait()
            while not finished.is_set() or not count:
                for pk in some:
                    look(pk)
                    count += 1
                    if finished.is_set():
                        break
        except BaseException as error:
            failures.append(error)
        finally:
            reads.append(count)
            connection.close()

    def the_login(pk: int) -> None:
        assert ProviderAccount.objects.get(pk=pk).credentials == {"username": f"u{pk}", "password": "p"}

    def the_console(pk: int) -> None:
        assert admin_client.get(f"/admin/merchants/provideraccount/{pk}/change/").status_code == 200

    caller = ApiClient("merchant.read", "credential.write")

    def the_api(pk: int) -> None:
        response = caller.call("GET", f"provider-accounts/{pk}")
        assert response.status_code in (200, 429), response.content  # 429: more reads than the rate allows is no error

    readers = [
        threading.Thread(target=read, args=(accounts, the_api)),
        threading.Thread(target=read, args=(accounts[::2], the_login)),
        threading.Thread(target=read, args=(accounts[::-1], the_login)),
        threading.Thread(target=read, args=(accounts, the_console)),
    ]
    [reader.start() for reader in readers]
    began.wait()
    try:
        assert "merchants.ProviderAccount: 1000 were" in run()
    finally:
        finished.set()
        [reader.join() for reader in readers]
    assert failures == []
    assert len(reads) == 4 and min(reads) > 0
    settings.CREDENTIALS_KEYS = [NEW]
    assert all(row.credentials for row in ProviderAccount.objects.all())
    assert crypto.current_prefix() == f"v1.{crypto.key_id(bytes.fromhex(NEW))}."
    connections.close_all()
