"""Chromium on a telephone's screen, which hears everything that a page asks for and says."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser import TIMEOUT

PHONE = {"width": 375, "height": 812}


@pytest.fixture
def asked() -> list[str]:
    """The addresses that the page asked for, in order."""
    return []


@pytest.fixture
def phone(browser: Any, live_server: Any, asked: list[str]) -> Iterator[Page]:
    """A page that may ask our own server only, and of which the browser may complain of nothing."""
    context = browser.new_context(viewport=PHONE, device_scale_factor=2, locale="en-US", base_url=live_server.url)
    page = context.new_page()
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.set_default_timeout(TIMEOUT)
    yield page
    context.close()
    assert [url for url in asked if not url.startswith((live_server.url, "data:"))] == []
    assert [text for text in said if "Content Security" in text] == []
