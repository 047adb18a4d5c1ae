"""Chromium for tests of pages, and the checks of every page: Content-Security-Policy, overflow, accessibility."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client
from playwright.sync_api import Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TIMEOUT = 30_000  # milliseconds: a busy machine renders its first page slowly
SCREENS = (1280, 1920)  # widths of an operator's laptop and desktop
CHROMIUM_ARGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
CHROMIUM_ARGS += ["--disable-component-update", "--no-first-run"]

expect.set_options(timeout=TIMEOUT)

needs_chromium = [
    pytest.mark.usefixtures("transactional_db"),
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine: apt-get install chromium"),
]


@contextmanager
def chromium() -> Iterator[Any]:
    # Playwright runs an event loop in this thread, so Django would refuse our queries as those of an async view.
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        yield browser
        browser.close()


@contextmanager
def signed_in(browser: Any, url: str, user: Any, **options: Any) -> Iterator[Page]:
    """A page of a signed-in user. Fails if anything on it violates the Content-Security-Policy."""
    client = Client()
    client.force_login(user)
    context = browser.new_context(base_url=url, viewport={"width": 1280, "height": 900}, **options)
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": url}])
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.set_default_timeout(TIMEOUT)
    yield page
    context.close()
    assert [text for text in errors if "Content Security" in text] == []


def assert_no_overflow(page: Page, *widths: int) -> None:
    """Nothing overflows horizontally at these widths, or at the current one. Colours make no difference to it."""
    size = page.viewport_size or {"width": 0, "height": 0}
    for width in widths or [size["width"]]:
        page.set_viewport_size({**size, "width": width})
        # A locator tries again while the page reloads: some pages refresh themselves.
        expect(page.locator("html"), f"{page.url} at {width} px").to_have_js_property("scrollWidth", width)
    page.set_viewport_size(size)


def serious_violations(page: Page, **options: Any) -> list[str]:
    """Violations that axe rates serious or critical. `preload` is off: our policy forbids scripts to fetch styles."""
    results = Axe().run(page, options={"resultTypes": ["violations"], "preload": False, **options})
    return [
        f"{v['id']}: {v['nodes'][0]['html']} {v['nodes'][0].get('failureSummary')}"
        for v in results.response["violations"]
        if v["impact"] in ("serious", "critical")
    ]


def assert_accessible(page: Page, url: str) -> None:
    """Check the whole page in the light scheme, and in the dark scheme its contrast, which is all that differs."""
    page.emulate_media(color_scheme="light")
    page.goto(url)
    assert not (violations := serious_violations(page)), (url, violations)
    page.emulate_media(color_scheme="dark")
    page.reload()  # a colour transition would be measured half-way
    assert not (violations := serious_violations(page, runOnly=["color-contrast"])), (url, violations)
