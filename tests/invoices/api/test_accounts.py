"""Provider accounts over HTTP: logins can be written, never read."""

from typing import Any

import pytest

from invoices.dev.simulator import Simulator
from merchants.models import ProviderAccount
from tests import cast
from tests.api.client import ApiClient, problem

pytestmark = pytest.mark.django_db
LOGIN = {"username": "0312345678", "password": "Mật khẩu-9876"}


def body(**overrides: Any) -> dict[str, Any]:
    fields = {"provider": "viettel", "baseUrl": "http://127.0.0.1:9/", "form": "1", "symbol": "C26TZZ"}
    return {"merchantId": cast.seller().code, **fields, "template": "1/001", "credentials": LOGIN, **overrides}


def test_an_account_shows_four_characters_and_a_fingerprint_of_its_login() -> None:
    caller, sent = ApiClient(sub="thu"), body()
    answer = caller.call("post", "provider-accounts", sent)
    account = answer.json()
    assert answer.status_code == 201 and account["baseUrl"] == "http://127.0.0.1:9"
    row = ProviderAccount.objects.get(pk=account["accountId"])
    assert row.credentials == LOGIN
    assert account["credentials"] == {"lastFour": "5678", "fingerprint": row.credentials_fingerprint}
    path = f"provider-accounts/{row.pk}"
    changed = caller.call("patch", path, {"paused": True, "credentials": {**LOGIN, "password": "another"}})
    assert changed.json()["paused"] is True
    assert changed.json()["credentials"]["fingerprint"] != account["credentials"]["fingerprint"]
    shown = [answer, changed, caller.call("get", path), caller.call("get", "provider-accounts")]
    for secret in (LOGIN["password"], "another", row.encrypted_credentials, "sealed"):
        assert not any(secret in response.content.decode() for response in shown)
    assert row.history.first().history_change_reason == "api:thu"
    assert problem(caller.call("post", "provider-accounts", sent)) == (409, "exists")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"baseUrl": "http://a.example/path"}, "baseUrl"),
        ({"baseUrl": "http://user@a.example"}, "baseUrl"),
        ({"baseUrl": "ftp://a.example"}, "baseUrl"),
        ({"symbol": "C26ZZZ"}, "symbol"),
        ({"form": "0"}, "form"),
        ({"provider": "nobody"}, "provider"),
        ({"credentials": {"username": "a"}}, "credentials.password"),
        ({"credentials": None}, "credentials"),
        ({"merchantId": "nobody"}, "merchantId"),
        ({"inFlight": 0}, "inFlight"),
    ],
)
def test_an_invalid_account_is_refused(change: dict[str, Any], field: str) -> None:
    answer = ApiClient().call("post", "provider-accounts", body(**change))
    assert problem(answer)[0] == 422 and list(answer.json()["fields"]) == [field]


def test_a_new_host_needs_the_login_again() -> None:
    caller = ApiClient()
    path = f"provider-accounts/{ProviderAccount.objects.get(merchant=cast.seller()).pk}"
    elsewhere = {"baseUrl": "http://127.0.0.1:10"}
    answer = caller.call("patch", path, elsewhere)
    assert problem(answer)[0] == 422 and list(answer.json()["fields"]) == ["credentials"]
    half = caller.call("patch", path, {**elsewhere, "credentials": {"password": "x"}})
    assert problem(half)[0] == 422
    assert caller.call("patch", path, {**elsewhere, "credentials": LOGIN}).json()["baseUrl"] == "http://127.0.0.1:10"
    assert caller.call("patch", path, {"baseUrl": "http://127.0.0.1:10/"}).status_code == 200


def test_production_requires_https(settings: Any) -> None:
    caller, sent = ApiClient(), body(baseUrl="http://a.example")
    settings.DEVELOPMENT = False
    assert problem(caller.call("post", "provider-accounts", sent))[0] == 422
    assert caller.call("post", "provider-accounts", {**sent, "baseUrl": "https://a.example"}).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_a_probe_tests_the_login_and_names_the_problem(provider: Simulator) -> None:
    merchant, caller = cast.seller(url=provider.url), ApiClient()
    row = ProviderAccount.objects.get(merchant=merchant)
    path = f"provider-accounts/{row.pk}/probe"
    wrong = caller.call("post", path).json()
    assert wrong["ok"] is False and wrong["problem"] and f"pass-{merchant.code}" not in wrong["problem"]
    provider.add_tenants([cast.tenant(merchant)])
    assert caller.call("post", path).json() == {"ok": True, "problem": None}
    merchant.tax_info.delete()
    ProviderAccount.objects.update(encrypted_credentials="")
    assert problem(caller.call("post", path)) == (409, "not_ready")
