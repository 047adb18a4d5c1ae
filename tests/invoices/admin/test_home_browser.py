"""The console in Chromium: accessible, fits the screens, and numbers link to their rows."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from playwright.sync_api import Page, expect

from tests import cast
from tests.browser import assert_accessible, needs_chromium, signed_in

pytestmark = needs_chromium


@pytest.fixture
def desk(browser: Any, live_server: Any) -> Iterator[Page]:
    with signed_in(browser, live_server.url, User.objects.create_superuser("thu", password="x")) as page:
        yield page


def pages() -> dict[str, str]:
    cast.issued(), cast.queued(), cast.waiting()
    failed = cast.failed()
    return {
        "home": "/admin/",
        "list": "/admin/invoices/invoice/?q=order",
        "invoice": reverse("admin:invoices_invoice_change", args=[failed.pk]),
        "form": reverse("admin:merchants_provideraccount_change", args=[failed.account_id]),
        "history": reverse("admin:merchants_merchant_history", args=[failed.merchant_id]),
    }


def test_axe_finds_no_serious_violation_in_light_or_dark(desk: Page) -> None:
    for address in pages().values():
        assert_accessible(desk, address)


def test_pages_fit_from_a_tablet_to_a_wide_screen(desk: Page) -> None:
    for name, address in pages().items():
        for width in (768, 1280, 1920):
            desk.set_viewport_size({"width": width, "height": 900})
            desk.goto(address)
            assert desk.evaluate("document.documentElement.scrollWidth") <= width, (name, width)


def test_a_number_links_to_its_invoices(desk: Page) -> None:
    failed, _ = cast.failed(failure="conflict"), cast.failed(failure="late")
    desk.goto("/admin/")
    desk.get_by_role("region", name="Needs attention").get_by_role("link", name="conflict 1").click()
    expect(desk.locator("#result_list tbody tr")).to_have_count(1)
    desk.get_by_role("link", name=failed.order_id).click()
    expect(desk.get_by_role("heading", level=1)).to_contain_text(failed.order_id)


def test_the_header_of_a_long_list_stays_visible(desk: Page) -> None:
    merchant = cast.seller()
    for _ in range(40):
        cast.waiting(merchant)
    desk.set_viewport_size({"width": 1280, "height": 700})
    desk.goto("/admin/invoices/invoice/")
    desk.mouse.wheel(0, 800)
    expect(desk.get_by_role("columnheader", name="Order")).to_be_in_viewport()
