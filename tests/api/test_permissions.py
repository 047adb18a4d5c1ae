"""Permissions and merchants of every route of the API."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.generators import EndpointEnumerator

from config.models import Configuration
from config.rest.identity import PERMISSIONS
from config.rest.permissions import BearerToken, HasDeclaredPermission, PrincipalThrottle
from config.rest.scoping import PLATFORM, PUBLIC, ScopedViewSet
from invoices.models import Invoice
from merchants.models import AdministrativeUnit, Merchant, ProviderAccount
from tests import cast
from tests.api.client import ApiClient, problem
from tests.claims.stages import with_files
from webhooks.models import WebhookDelivery, WebhookEndpoint
from webhooks.outbound.events import write_test_delivery

pytestmark = pytest.mark.django_db

# Routes without a token: signed bodies, claim links (which hold a secret), documentation, health.
OPEN = {
    "webhook-internal",
    "webhook-merchant",
    "claim-twin",
    "openapi",
    "docs",
    "health",
    "health-live",
    "health-ready",
}


def routes(patterns: Any = None, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns or get_resolver().url_patterns:
        path = prefix + str(pattern.pattern).removeprefix("^")
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, path)
        elif path.startswith("v1/api/"):
            yield path, pattern


def endpoints() -> list[tuple[str, str, Any, str]]:
    """Path, method, view and action of all that takes a token."""
    walked = []
    for path, _, method, callback in EndpointEnumerator().get_api_endpoints():
        if path.startswith("/v1/api/") and issubclass(callback.cls, ScopedViewSet):
            walked.append((path.removeprefix("/v1/api/"), method, callback.cls, callback.actions[method.lower()]))
    return walked


ENDPOINTS = endpoints()
NAMES = [f"{method} {path}" for path, method, _, _ in ENDPOINTS]
each_endpoint = pytest.mark.parametrize(("path", "method", "view", "action"), ENDPOINTS, ids=NAMES)


def test_every_route_needs_a_token_or_is_listed_as_open() -> None:
    guarded = [getattr(pattern.callback, "cls", None) for _, pattern in routes() if pattern.name not in OPEN]
    others = [path for path, pattern in routes() if pattern.name not in OPEN
              and not issubclass(getattr(pattern.callback, "cls", object), ScopedViewSet)]  # fmt: skip
    assert guarded and others == []
    assert len(ENDPOINTS) >= 33


@each_endpoint
def test_every_action_declares_its_permission_and_every_view_its_merchants(
    path: str, method: str, view: Any, action: str
) -> None:
    assert view.permission_of.get(action) in PERMISSIONS
    assert isinstance(view.merchant_path, str)
    assert (view.authentication_classes, view.permission_classes) == ([BearerToken], [HasDeclaredPermission])
    assert view.throttle_classes == [PrincipalThrottle]
    reads = view.permission_of[action].endswith(".read")
    assert reads == (method == "GET"), "a GET needs a read permission, any other method another one"


def filled(path: str, **keys: Any) -> str:
    places = {"invoiceId": 1, "invoiceRequestId": 1, "accountId": 1, "endpointId": 1, "deliveryId": 1,
              "merchantId": "nobody", "key": "none", "code": "99999", "kind": "pdf"}  # fmt: skip
    return path.format(**places | keys)


@each_endpoint
def test_only_the_declared_permission_allows_an_action(path: str, method: str, view: Any, action: str) -> None:
    declared = view.permission_of[action]
    others = [permission for permission in PERMISSIONS if permission != declared]
    body = None if method == "GET" else {}
    assert problem(ApiClient(*others).call(method, filled(path), body)) == (403, "forbidden")
    assert ApiClient(declared).call(method, filled(path), body).status_code in (200, 404, 422)


@each_endpoint
def test_without_a_token_every_action_is_401(path: str, method: str, view: Any, action: str, client: Any) -> None:
    response = client.generic(method, f"/v1/api/{filled(path)}")
    assert problem(response) == (401, "unauthenticated")
    assert response["WWW-Authenticate"] == 'Bearer realm="hoadon"'


def test_an_action_without_a_declared_permission_is_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    from invoices.api import Invoices

    monkeypatch.delitem(Invoices.permission_of, "list")
    assert problem(ApiClient().call("get", "invoices")) == (403, "forbidden")


# --- Another merchant's rows -----------------------------------------------------------------------------------------

BODIES: dict[str, Any] = {
    "replay": {"reason": "again", "dryRun": True},
    "rotate_secret": {"label": "new"},
    "replay_since": {"since": "2026-01-01T00:00:00+07:00"},
    "partial_update": {},
    "put_tax_info": {"taxCode": "0100109106", "legalName": "A", "address": "B", "method": "direct"},
}


@pytest.fixture
def cafe(media: Any) -> Merchant:
    """A merchant with a row of every kind."""
    merchant = cast.seller(url="http://127.0.0.1:9")
    invoice = with_files(cast.issued(merchant, number="1"))
    ApiClient().call(
        "post", "invoice-requests", cast.request({"orderId": invoice.order_id, "merchantId": merchant.code})
    )
    write_test_delivery(WebhookEndpoint.objects.create(merchant=merchant, url="https://a.example/h"))
    Configuration.objects.create(key="a", value="b")
    return merchant


def keys_of(merchant: Merchant) -> dict[str, Any]:
    invoice = Invoice.objects.get(merchant=merchant)
    return {
        "invoiceId": invoice.pk,
        "invoiceRequestId": invoice.requests.order_by("-id")[0].pk,
        "accountId": ProviderAccount.objects.get(merchant=merchant).pk,
        "endpointId": WebhookEndpoint.objects.get(merchant=merchant).pk,
        "deliveryId": WebhookDelivery.objects.get(endpoint__merchant=merchant).pk,
        "merchantId": merchant.code,
        "key": "a",
    }


DETAILS = [endpoint for endpoint in ENDPOINTS if "{" in endpoint[0] and endpoint[2].merchant_path != PUBLIC]


@pytest.mark.parametrize(
    ("path", "method", "view", "action"), DETAILS, ids=[f"{method} {path}" for path, method, _, _ in DETAILS]
)
def test_another_merchants_row_is_not_found(path: str, method: str, view: Any, action: str, cafe: Merchant) -> None:
    other = cast.seller()
    address, body = filled(path, **keys_of(cafe)), None if method == "GET" else BODIES.get(action, {})
    for other_client in (ApiClient(merchants=[other.code]), ApiClient(merchants=[])):
        assert problem(other_client.call(method, address, body)) == (404, "not_found")
    own = ApiClient() if view.merchant_path == PLATFORM else ApiClient(merchants=[cafe.code])
    assert own.call(method, address, body).status_code in (200, 204)  # so the 404 was because of the merchant


LISTS = sorted({path for path, method, view, _ in ENDPOINTS if (method, "{" in path) == ("GET", False)})


@pytest.mark.parametrize("path", LISTS)
def test_a_list_shows_no_rows_of_other_merchants(path: str, cafe: Merchant) -> None:
    AdministrativeUnit.objects.all().delete()
    other = ApiClient(merchants=["elsewhere"])
    assert other.call("get", path).json() == {"items": [], "nextCursor": None}
    assert path == "admin-units" or ApiClient().call("get", path).json()["items"]


@pytest.mark.parametrize(
    "path", ["invoices", "invoice-requests", "merchants", "provider-accounts", "webhook-endpoints"]
)
@pytest.mark.parametrize("exists", [True, False])
def test_nothing_can_be_created_for_another_merchant(path: str, exists: bool, cafe: Merchant) -> None:
    code = cafe.code if exists else "nobody"
    sale = cast.payment(code)
    bodies = {
        "invoices": sale,
        "invoice-requests": cast.request(sale),
        "merchants": {"merchantId": code, "name": "A"},
        "provider-accounts": {
            "merchantId": code, "provider": "viettel", "baseUrl": "https://a.example", "form": "1", "symbol": "C26TAB",
            "credentials": {"username": "a", "password": "b"},
        },
        "webhook-endpoints": {"merchantId": code, "url": "https://a.example"},
    }  # fmt: skip
    response = ApiClient(merchants=["mine"]).call("post", path, bodies[path])
    assert problem(response) == (403, "other_merchant")


def test_platform_endpoints_and_settings_need_a_platform_token() -> None:
    hook = WebhookEndpoint.objects.create(url="https://platform.example/h")
    merchant = ApiClient(merchants=["m-1"])
    assert problem(merchant.call("get", f"webhook-endpoints/{hook.pk}")) == (404, "not_found")
    body = {"merchantId": None, "url": "https://a.example"}
    assert problem(merchant.call("post", "webhook-endpoints", body)) == (403, "other_merchant")
    assert problem(merchant.call("post", "configurations", {"key": "a", "value": "b"})) == (403, "other_merchant")
    assert ApiClient().call("post", "webhook-endpoints", body).status_code == 201


def test_requests_of_a_caller_are_limited_per_minute(settings: Any) -> None:
    settings.RATES = {"principal": 2, "claim": 2}
    thu, lan = ApiClient(sub="thu"), ApiClient(sub="lan")
    responses = [thu.call("get", "invoices") for _ in range(5)]
    assert 429 in [response.status_code for response in responses]  # a minute may have begun in between
    last = next(response for response in responses if response.status_code == 429)
    assert problem(last) == (429, "too_many_requests") and 0 < int(last["Retry-After"]) <= 60
    assert lan.call("get", "invoices").status_code == 200


def test_without_redis_requests_are_not_limited(settings: Any) -> None:
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:9"}}
    assert ApiClient().call("get", "invoices").status_code == 200
