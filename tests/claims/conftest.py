"""Chromium at phone size. It records every request and every console error."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser import TIMEOUT

PHONE = {"width": 375, "height": 812}


@pytest.fixture
def requests() -> list[str]:
    """The addresses that the page requested, in order."""
    return []


@pytest.fixture
def phone(browser: Any, live_server: Any, requests: list[str]) -> Iterator[Page]:
    """A page that requests from our own server only and breaks no Content-Security-Policy."""
    context = browser.new_context(viewport=PHONE, device_scale_factor=2, locale="en-US", base_url=live_server.url)
    page = context.new_page()
    errors: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.set_default_timeout(TIMEOUT)
    yield page
    context.close()
    assert [url for url in requests if not url.startswith((live_server.url, "data:"))] == []
    assert [text for text in errors if "Content Security" in text] == []
