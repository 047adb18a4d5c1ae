"""A client of the API. Its tokens are issued locally and checked by the real verifier."""

from collections.abc import Iterable
from typing import Any

from django.test import Client

from config.rest import local_identity
from config.rest.identity import PERMISSIONS

API = "/v1/api"
JSON = "application/json"


def token(*permissions: str, merchants: Iterable[str] = ("*",), sub: str = "tester") -> str:
    return local_identity.issue_token(sub, permissions or PERMISSIONS, merchants, seconds=3600)


class ApiClient(Client):
    """Sends JSON to /v1/api with a bearer token."""

    def __init__(self, *permissions: str, merchants: Iterable[str] = ("*",), sub: str = "tester") -> None:
        bearer = f"Bearer {token(*permissions, merchants=merchants, sub=sub)}"
        super().__init__(headers={"Authorization": bearer}, raise_request_exception=True)

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """`body` is a JSON value, or bytes that are sent unchanged."""
        content = {} if body is None else {"data": body, "content_type": JSON}
        return getattr(self, method.lower())(f"{API}/{path}", **content, **more)


def problem(response: Any) -> tuple[int, str]:
    """Status and code of a problem document."""
    assert response["Content-Type"] == "application/problem+json", response.content
    body = response.json()
    assert body["status"] == response.status_code and body["title"] and body["detail"]
    return response.status_code, body["code"]
