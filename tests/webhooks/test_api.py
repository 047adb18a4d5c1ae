"""Webhook endpoints over HTTP."""

from typing import Any

import pytest

from config.base import webhook_secrets
from tests import cast
from tests.api.client import ApiClient, problem
from webhooks.models import WebhookEndpoint

pytestmark = pytest.mark.django_db


def body(**overrides: Any) -> dict[str, Any]:
    return {"merchantId": None, "url": "https://a.example/h", "eventTypes": ["invoice.issued"], **overrides}


def test_an_endpoint_is_added_and_its_secret_is_shown_once() -> None:
    caller, merchant = ApiClient(), cast.seller()
    answer = caller.call("post", "webhook-endpoints", body(merchantId=merchant.code))
    created = answer.json()
    secret = created.pop("secret")
    assert answer.status_code == 201 and secret.startswith("whsec_")
    assert created["secrets"] == [{"label": "1", "expiresAt": None}] and created["merchantId"] == merchant.code
    path = f"webhook-endpoints/{created['endpointId']}"
    assert caller.call("get", path).json() == created
    assert caller.call("get", "webhook-endpoints").json()["items"] == [created]
    row = WebhookEndpoint.objects.get()
    assert [kept.value for kept in row.live_secrets()] == [secret]
    changed = caller.call("patch", path, {"disabledReason": "moved", "eventTypes": []}).json()
    assert (changed["disabledReason"], changed["eventTypes"], changed["url"]) == ("moved", [], "https://a.example/h")


def test_a_given_secret_is_stored_and_rotated_with_a_grace() -> None:
    caller, given = ApiClient(), cast.secret()
    created = caller.call("post", "webhook-endpoints", body(secret=given)).json()
    path = f"webhook-endpoints/{created['endpointId']}"
    new = caller.call("post", f"{path}/rotate-secret", {"label": "2", "graceHours": 1}).json()["secret"]
    assert [kept.value for kept in WebhookEndpoint.objects.get().live_secrets()] == [new, given]
    shown = caller.call("get", path)
    assert [(s["label"], bool(s["expiresAt"])) for s in shown.json()["secrets"]] == [("2", False), ("1", True)]
    assert given not in shown.content.decode() and new not in shown.content.decode()
    assert problem(caller.call("post", f"{path}/rotate-secret", {"label": "2"})) == (409, "label_taken")
    mine = webhook_secrets.make()
    assert caller.call("post", f"{path}/rotate-secret", {"label": "3", "secret": mine}).json() == {"secret": mine}


def test_an_endpoint_whose_secrets_cannot_be_decrypted_is_listed_and_gets_a_new_one(settings: Any) -> None:
    caller = ApiClient()
    path = f"webhook-endpoints/{caller.call('post', 'webhook-endpoints', body()).json()['endpointId']}"
    settings.CREDENTIALS_KEYS = ["ab" * 32]
    assert caller.call("get", path).json()["secrets"] == []
    assert caller.call("get", "webhook-endpoints").status_code == 200
    new = caller.call("post", f"{path}/rotate-secret", {"label": "1", "graceHours": 0}).json()["secret"]
    assert [kept.value for kept in WebhookEndpoint.objects.get().live_secrets()] == [new]


def test_a_removed_endpoint_is_not_found_and_its_row_stays() -> None:
    caller = ApiClient(sub="thu")
    path = f"webhook-endpoints/{caller.call('post', 'webhook-endpoints', body()).json()['endpointId']}"
    assert caller.call("delete", path).status_code == 204
    for method in ("get", "patch", "delete"):
        assert problem(caller.call(method, path, None if method == "get" else {})) == (404, "not_found")
    assert caller.call("get", "webhook-endpoints").json()["items"] == []
    row = WebhookEndpoint.objects.get()
    assert row.deleted_at and row.history.first().history_change_reason == "api:thu"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": "ftp://a.example"}, "url"),
        ({"url": "https://me:pass@a.example"}, "url"),
        ({"eventTypes": ["invoice.lost"]}, "eventTypes"),
        ({"secret": "whsec_no base64"}, "secret"),
        ({"secret": "plain"}, "secret"),
        ({"merchantId": "unknown"}, "merchantId"),
    ],
)
def test_an_invalid_endpoint_is_refused(change: dict[str, Any], field: str) -> None:
    answer = ApiClient().call("post", "webhook-endpoints", body(**change))
    assert problem(answer)[0] == 422 and next(iter(answer.json()["fields"])).startswith(field)


def test_production_sends_to_https_only(settings: Any) -> None:
    caller = ApiClient()
    settings.WEBHOOK_ALLOW_LOOPBACK = False
    assert problem(caller.call("post", "webhook-endpoints", body(url="http://a.example")))[0] == 422
