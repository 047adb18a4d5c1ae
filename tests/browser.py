"""Chromium for tests of the console: one for a module, signed in as anybody."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
QUIET += ["--disable-component-update", "--no-first-run"]

in_chromium = [
    pytest.mark.usefixtures("transactional_db"),
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine; `apt-get install chromium` brings it"),
]


@contextmanager
def chromium() -> Iterator[Any]:
    # Playwright runs an event loop in this thread; Django must not take our queries for an async view's.
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@contextmanager
def signed_in(browser: Any, url: str, user: Any, **options: Any) -> Iterator[Page]:
    """A page of the console; nothing on it may break its Content-Security-Policy."""
    client = Client()
    client.force_login(user)
    context = browser.new_context(base_url=url, viewport={"width": 1280, "height": 900}, **options)
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": url}])
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.set_default_timeout(15_000)
    yield page
    context.close()
    assert [text for text in said if "Content Security" in text] == []


def shoot(page: Page, folder: Path, name: str) -> None:
    """Light and dark; nothing sticks out at the side."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]  # type: ignore[index]
        page.screenshot(path=folder / f"{name}-{scheme}.png", full_page=True)
    page.emulate_media(color_scheme="light")
