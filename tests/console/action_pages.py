"""An act's page as a person goes through it: look, give a reason, confirm exactly what was shown."""

import re
from typing import Any

from django.test import Client
from django.urls import reverse

WHY = "the buyer called"


def address(name: str, *rows: Any) -> str:
    """Of an act's page for rows of one model."""
    opts = rows[0]._meta
    of = "&".join(f"row={row.pk}" for row in rows)
    return reverse(f"admin:{opts.app_label}_{opts.model_name}_act", args=[name]) + f"?{of}"


def looked_at(client: Client, name: str, *rows: Any, told: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
    """What the page shows, and the form that confirms it."""
    url = address(name, *rows)
    answer = client.post(url, {**told, "reason": WHY}) if told else client.get(url)
    assert answer.status_code == 200, re.findall(r'class="errornote">(.*?)<', answer.text)
    (seen,) = re.findall(r'name="seen" value="(\w+)"', answer.text)
    return answer.text, {**(told or {}), "reason": WHY, "seen": seen, "confirm": "1"}


def perform(client: Client, name: str, *rows: Any, told: dict[str, Any] | None = None) -> str:
    """Confirm, and what the next page says of it."""
    _, form = looked_at(client, name, *rows, told=told)
    answer = client.post(address(name, *rows), form, follow=True)
    assert answer.status_code == 200, answer
    return " ".join(str(message) for message in answer.context["messages"])
