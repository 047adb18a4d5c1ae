"""An operator action's page as an operator uses it: preview, give a reason, confirm exactly what was shown."""

import re
from typing import Any

from django.test import Client
from django.urls import reverse

REASON = "the buyer called"


def action_url(name: str, *rows: Any) -> str:
    """The URL of an action's page for rows of one model."""
    opts = rows[0]._meta
    query = "&".join(f"row={row.pk}" for row in rows)
    return reverse(f"admin:{opts.app_label}_{opts.model_name}_action", args=[name]) + f"?{query}"


def preview(client: Client, name: str, *rows: Any, params: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
    """The page's text, and the form that confirms what it shows."""
    url = action_url(name, *rows)
    response = client.post(url, {**params, "reason": REASON}) if params else client.get(url)
    assert response.status_code == 200, re.findall(r'class="errornote">(.*?)<', response.text)
    (seen,) = re.findall(r'name="seen" value="(\w+)"', response.text)
    return response.text, {**(params or {}), "reason": REASON, "seen": seen, "confirm": "1"}


def perform(client: Client, name: str, *rows: Any, params: dict[str, Any] | None = None) -> str:
    """Confirm the action. Returns the messages of the next page."""
    _, form = preview(client, name, *rows, params=params)
    response = client.post(action_url(name, *rows), form, follow=True)
    assert response.status_code == 200, response
    return " ".join(str(message) for message in response.context["messages"])
