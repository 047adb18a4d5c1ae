"""A claim link answers so often a minute and no oftener."""

from typing import Any

import pytest
from django.test import Client

from tests import cast
from tests.api.client import problem
from tests.claims.stages import link, twin

pytestmark = pytest.mark.django_db


def test_a_claim_link_that_is_asked_too_often_says_when_to_come_back(client: Client, settings: Any) -> None:
    settings.RATES = {**settings.RATES, "claim": 2}
    invoice, other = cast.waiting(), cast.waiting()
    answers = [client.get(address) for _ in range(4) for address in (link(invoice), twin(invoice))]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) >= 4 and {answer["Cache-Control"] for answer in refused} == {"no-store"}
    assert all(0 < int(answer["Retry-After"]) <= 60 for answer in refused)
    assert problem(next(a for a in refused if "json" in a["Content-Type"])) == (429, "too_many_requests")
    assert client.get(link(other)).status_code == 200


def test_a_body_that_is_too_large_is_a_problem_too(client: Client) -> None:
    body = b'{"buyer": "' + b"x" * (1024 * 1024) + b'"}'
    answer = client.put(twin(cast.waiting()), body, content_type="application/json")
    assert problem(answer) == (413, "too_large")
