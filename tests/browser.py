"""Chromium for tests of pages: one for a module, and what is asked of every page in it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client
from playwright.sync_api import Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TIMEOUT = 30_000  # milliseconds: nothing waits for as long, but a busy machine draws its first page slowly
SCREENS = (1280, 1920)  # an operator's laptop and desk
CHROMIUM_ARGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
CHROMIUM_ARGS += ["--disable-component-update", "--no-first-run"]

expect.set_options(timeout=TIMEOUT)

needs_chromium = [
    pytest.mark.usefixtures("transactional_db"),
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine; `apt-get install chromium` brings it"),
]


@contextmanager
def chromium() -> Iterator[Any]:
    # Playwright runs an event loop in this thread; Django must not take our queries for an async view's.
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
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
    page.set_default_timeout(TIMEOUT)
    yield page
    context.close()
    assert [text for text in said if "Content Security" in text] == []


def assert_no_overflow(page: Page, *widths: int) -> None:
    """Nothing sticks out at the side, at these widths or as it is. What the colours are makes no page wider."""
    size = page.viewport_size or {"width": 0, "height": 0}
    for width in widths or [size["width"]]:
        page.set_viewport_size({**size, "width": width})
        # Asked of a locator, which asks again where the page is just being loaded: some look again by themselves.
        expect(page.locator("html"), f"{page.url} at {width} px").to_have_js_property("scrollWidth", width)
    page.set_viewport_size(size)


def serious_violations(page: Page, **options: Any) -> list[str]:
    """What axe calls serious or critical. It may not fetch style sheets itself: our policy lets no script do that."""
    found = Axe().run(page, options={"resultTypes": ["violations"], "preload": False, **options}).response["violations"]
    return [
        f"{v['id']}: {v['nodes'][0]['html']} {v['nodes'][0].get('failureSummary')}"
        for v in found
        if v["impact"] in ("serious", "critical")
    ]


def assert_accessible(page: Page, address: str) -> None:
    """The whole page by day, and its colours by night, which are all that differs."""
    page.emulate_media(color_scheme="light")
    page.goto(address)
    assert not (found := serious_violations(page)), (address, found)
    page.emulate_media(color_scheme="dark")
    page.reload()  # colours that fade into others are neither yet
    assert not (found := serious_violations(page, runOnly=["color-contrast"])), (address, found)
