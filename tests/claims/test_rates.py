"""The rate limit of a claim link."""

from typing import Any

import pytest
from django.test import Client

from tests import cast
from tests.api.client import problem
from tests.claims.stages import page_path, twin_path

pytestmark = pytest.mark.django_db


def test_too_many_requests_are_429_with_retry_after(client: Client, settings: Any) -> None:
    settings.RATES = {**settings.RATES, "claim": 2}
    invoice, other = cast.waiting(), cast.waiting()
    responses = [client.get(address) for _ in range(4) for address in (page_path(invoice), twin_path(invoice))]
    refused = [response for response in responses if response.status_code == 429]
    assert len(refused) >= 4 and {response["Cache-Control"] for response in refused} == {"no-store"}
    assert all(0 < int(response["Retry-After"]) <= 60 for response in refused)
    assert problem(next(a for a in refused if "json" in a["Content-Type"])) == (429, "too_many_requests")
    assert client.get(page_path(other)).status_code == 200


def test_a_body_that_is_too_large_is_413(client: Client) -> None:
    body = b'{"buyer": "' + b"x" * (1024 * 1024) + b'"}'
    response = client.put(twin_path(cast.waiting()), body, content_type="application/json")
    assert problem(response) == (413, "too_large")
