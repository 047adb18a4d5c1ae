"""The secrets that sign deliveries: a list, so that one can be replaced without losing a delivery."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from config.base import clock, crypto
from tests import cast
from webhooks.models import WebhookEndpoint

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def endpoint() -> WebhookEndpoint:
    return WebhookEndpoint.objects.create(url="https://a.example/h")


def live(row: WebhookEndpoint) -> list[str]:
    return [secret.label for secret in WebhookEndpoint.objects.get(pk=row.pk).live_secrets()]


def test_a_secret_is_generated_shown_once_and_stored_encrypted() -> None:
    row = endpoint()
    secret = row.add_secret("first")
    assert secret.startswith("whsec_") and len(secret) == 50
    kept = WebhookEndpoint.objects.get(pk=row.pk)
    assert [(s.label, s.value, s.expires_at) for s in kept.live_secrets()] == [("first", secret, None)]
    assert secret not in kept.encrypted_secrets
    assert endpoint().live_secrets() == []


def test_both_secrets_are_live_until_the_grace_ends_then_only_the_new_one() -> None:
    row = endpoint()
    row.add_secret("old")
    row.rotate_secret("new", DAY)
    assert live(row) == ["new", "old"]
    with clock.frozen(clock.now() + DAY):
        assert live(row) == ["new"]
        row.add_secret("next")
        assert [secret.label for secret in row.secrets] == ["next", "new"]  # expired ones are dropped


def test_a_rotation_never_extends_a_secret() -> None:
    row = endpoint()
    soon = clock.now() + timedelta(hours=1)
    row.add_secret("short", soon)
    row.rotate_secret("new", DAY)
    assert {secret.label: secret.expires_at for secret in row.secrets} == {"new": None, "short": soon}


def test_without_a_grace_the_others_expire_at_once() -> None:
    row = endpoint()
    row.add_secret("leaked")
    row.rotate_secret("new", timedelta(0))
    assert live(row) == ["new"]


@pytest.mark.parametrize("value", ["hush", "whsec_", "whsec_*not base64*", "c2VjcmV0"])
def test_a_malformed_secret_is_refused_and_not_quoted(value: str) -> None:
    with pytest.raises(ValueError, match="whsec_") as error:
        endpoint().add_secret("x", value=value)
    assert value.removeprefix("whsec_") not in str(error.value) or value == "whsec_"


@pytest.mark.parametrize("label", ["", "two words", "x" * 21])
def test_a_label_is_short_and_plain(label: str) -> None:
    with pytest.raises(ValueError, match="label"):
        endpoint().add_secret(label)


def test_a_label_names_one_secret() -> None:
    row = endpoint()
    row.add_secret("a", value=cast.secret())
    with pytest.raises(ValueError, match='label "a"'):
        row.add_secret("a")
    assert live(row) == ["a"]


def test_encrypted_secrets_copied_to_another_endpoint_cannot_be_decrypted() -> None:
    one, other = endpoint(), endpoint()
    one.add_secret("a")
    WebhookEndpoint.objects.filter(pk=other.pk).update(encrypted_secrets=one.encrypted_secrets)
    with pytest.raises(crypto.DecryptionFailed, match="copied from elsewhere"):
        WebhookEndpoint.objects.get(pk=other.pk).live_secrets()


def test_an_endpoint_that_the_console_enables_again_has_no_failures(admin_client: Client) -> None:
    row = endpoint()
    since = clock.now() - DAY
    WebhookEndpoint.objects.update(disabled_reason="gone", failing_since=since, held_until=since)
    form = {"url": row.url, "event_types": "[]", "disabled_reason": "gone", "reason": "a test"}
    page = reverse("admin:webhooks_webhookendpoint_change", args=[row.pk])
    for disabled, failing in (("gone", since), ("", None)):
        assert admin_client.post(page, form | {"disabled_reason": disabled}).status_code == 302
        row.refresh_from_db()
        assert (row.failing_since, row.held_until) == (failing, failing)


@pytest.mark.django_db(transaction=True)
def test_two_secrets_added_at_once_are_both_stored() -> None:
    row = endpoint()
    both = threading.Barrier(2)

    def add(label: str) -> None:
        mine = WebhookEndpoint.objects.get(pk=row.pk)
        both.wait()
        mine.add_secret(label)
        connection.close()

    threads = [threading.Thread(target=add, args=(label,)) for label in ("a", "b")]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(live(row)) == ["a", "b"]
