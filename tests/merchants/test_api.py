"""Merchants, their tax data, administrative units and settings over HTTP."""

from typing import Any

import pytest
from django.core.management import call_command

from config.models import Configuration
from merchants.models import Merchant, TaxInfo
from tests import cast
from tests.api.client import ApiClient, problem

pytestmark = pytest.mark.django_db

TAX = {
    "taxCode": "0100 109 106",
    "legalName": "Công ty Cổ phần Sương Mai",
    "address": "1 Phan Chu Trinh",
    "method": "deduction",
}


def test_a_merchant_is_added_read_and_changed() -> None:
    caller = ApiClient(sub="thu")
    created = caller.call("post", "merchants", {"merchantId": "m/1 é", "name": "Sương Mai", "claimWindow": 60})
    assert created.status_code == 201
    assert created.json() | {"createdAt": "", "updatedAt": ""} == {
        "merchantId": "m/1 é", "name": "Sương Mai", "isActive": True, "claimWindow": 60, "unclaimed": "consumer",
        "consumerFallback": True, "mailsBuyer": True, "createdAt": "", "updatedAt": "",
    }  # fmt: skip
    default = caller.call("post", "merchants", {"merchantId": "m-1", "name": "Sương Mai"}).json()
    assert caller.call("get", "merchants/m-1").json() == default
    changed = caller.call("patch", "merchants/m-1", {"unclaimed": "lapse"}).json()
    assert (changed["unclaimed"], changed["claimWindow"], changed["name"]) == ("lapse", 120, "Sương Mai")
    assert [item["merchantId"] for item in caller.call("get", "merchants").json()["items"]] == ["m-1", "m/1 é"]
    history = Merchant.objects.get(code="m-1").history.first()
    assert (history.history_change_reason, history.history_user) == ("api:thu", None)


def test_a_code_is_never_used_again() -> None:
    cast.seller("m-1").delete()
    caller = ApiClient()
    assert problem(caller.call("post", "merchants", {"merchantId": "m-1", "name": "A"})) == (409, "exists")
    assert problem(caller.call("get", "merchants/m-1")) == (404, "not_found")
    assert problem(caller.call("get", "merchants/m-1/tax-info")) == (404, "not_found")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"claimWindow": 121}, "claimWindow"),
        ({"claimWindow": "60"}, "claimWindow"),
        ({"isActive": "yes"}, "isActive"),
        ({"unclaimed": "burn"}, "unclaimed"),
        ({"name": 7}, "name"),
        ({"merchantId": "other"}, "merchantId"),
        ({"nmae": "A"}, "nmae"),
    ],
)
def test_an_invalid_change_is_refused(change: dict[str, Any], field: str) -> None:
    answer = ApiClient().call("patch", f"merchants/{cast.seller().code}", change)
    assert problem(answer)[0] == 422 and list(answer.json()["fields"]) == [field]


def test_tax_info_is_put_twice_and_normalised() -> None:
    merchant, caller = Merchant.objects.create(code="m-1", name="A"), ApiClient()
    assert problem(caller.call("get", "merchants/m-1/tax-info")) == (404, "not_found")
    for _ in range(2):
        answer = caller.call("put", "merchants/m-1/tax-info", TAX)
        assert (answer.status_code, answer.json()["taxCode"]) == (200, "0100109106")
    assert caller.call("get", "merchants/m-1/tax-info").json() == answer.json()
    TaxInfo.objects.get().delete()
    assert problem(caller.call("get", "merchants/m-1/tax-info")) == (404, "not_found")
    assert caller.call("put", "merchants/m-1/tax-info", {**TAX, "method": "direct"}).json()["method"] == "direct"
    assert TaxInfo.objects.get(merchant=merchant).form == "2"


@pytest.mark.parametrize(
    "change", [{"taxCode": "0100109107"}, {"taxCode": ""}, {"communeCode": "99999"}, {"method": "both"}, {"email": "a"}]
)
def test_invalid_tax_info_is_refused(change: dict[str, Any]) -> None:
    answer = ApiClient().call("put", f"merchants/{cast.seller().code}/tax-info", TAX | change)
    assert problem(answer)[0] == 422 and list(answer.json()["fields"]) == list(change)


def test_units_are_found_without_accents() -> None:
    call_command("loaddata", "admin_units", verbosity=0)
    caller = ApiClient("merchant.read", merchants=["m-1"])

    def names(query: str) -> list[str]:
        return [unit["fullName"] for unit in caller.call("get", f"admin-units?{query}").json()["items"]]

    assert names("q=ha noi&level=province") == names("q=Hà Nội&level=province") == ["Thành phố Hà Nội"]
    assert "Phường Hoàn Kiếm" in names("q=hoan kiem")
    assert names("q=hoan kiem can tho") == []
    page = caller.call("get", "admin-units?level=province&limit=20").json()
    rest = caller.call("get", f"admin-units?level=province&limit=20&cursor={page['nextCursor']}").json()
    assert len(page["items"]) + len(rest["items"]) == 34 and rest["nextCursor"] is None
    commune = caller.call("get", "admin-units?province=01&limit=1").json()["items"][0]
    assert commune["parentCode"] == "01"
    assert caller.call("get", f"admin-units/{commune['code']}").json() == commune
    assert problem(caller.call("get", "admin-units?level=district"))[0] == 422


def test_a_secret_setting_is_written_and_never_shown() -> None:
    caller, secret = ApiClient(sub="thu"), "s3cret-value"
    body = {"key": "smtp.password", "value": secret, "isSecret": True}
    answers = [
        caller.call("post", "configurations", body),
        caller.call("get", "configurations/smtp.password"),
        caller.call("get", "configurations"),
        caller.call("patch", "configurations/smtp.password", {"description": "of the mail server"}),
        caller.call("patch", "configurations/smtp.password", {"value": secret + "2"}),
    ]
    assert [answer.status_code for answer in answers] == [201, 200, 200, 200, 200]
    assert not any(secret in answer.content.decode() for answer in answers)
    assert answers[-1].json()["value"] is None and answers[-1].json()["description"] == "of the mail server"
    row = Configuration.objects.get()
    assert row.read() == secret + "2" and secret not in row.value
    assert {history.history_change_reason for history in row.history.all()} == {"api:thu"}
    assert problem(caller.call("post", "configurations", body)) == (409, "exists")
    assert problem(caller.call("patch", "configurations/smtp.password", {"isSecret": False}))[0] == 422


def test_a_setting_that_is_not_secret_is_shown() -> None:
    caller = ApiClient()
    caller.call("post", "configurations", {"key": "banner", "value": " hello "})
    assert caller.call("get", "configurations/banner").json()["value"] == " hello "
