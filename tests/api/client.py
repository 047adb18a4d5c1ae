"""Callers of the API, with tokens of this machine's own making, judged by the real verifier."""

from collections.abc import Iterable
from typing import Any

from django.test import Client

from config.rest import local_identity
from config.rest.identity import PERMISSIONS

API = "/v1/api"
JSON = "application/json"


def token(*permissions: str, merchants: Iterable[str] = ("*",), sub: str = "tester") -> str:
    return local_identity.issue(sub, permissions or PERMISSIONS, merchants, seconds=3600)


class ApiClient(Client):
    """Speaks JSON below /v1/api and brings its token along."""

    def __init__(self, *permissions: str, merchants: Iterable[str] = ("*",), sub: str = "tester") -> None:
        bearer = f"Bearer {token(*permissions, merchants=merchants, sub=sub)}"
        super().__init__(headers={"Authorization": bearer}, raise_request_exception=True)

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """`body` is a JSON value, or bytes as they are."""
        content = {} if body is None else {"data": body, "content_type": JSON}
        return getattr(self, method.lower())(f"{API}/{path}", **content, **more)


def problem(answer: Any) -> tuple[int, str]:
    """Status and code of a problem document."""
    assert answer["Content-Type"] == "application/problem+json", answer.content
    body = answer.json()
    assert body["status"] == answer.status_code and body["title"] and body["detail"]
    return answer.status_code, body["code"]
