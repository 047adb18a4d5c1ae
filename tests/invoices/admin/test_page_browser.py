"""An invoice's page as operators see it, in Chromium."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from tests import cast
from tests.browser import SCREENS, assert_no_overflow, needs_chromium, signed_in
from tests.invoices import invoice_history

pytestmark = needs_chromium


@pytest.fixture
def root() -> User:
    return User.objects.create_superuser("thu", password="x")


@pytest.fixture
def desk(browser: Any, live_server: Any, root: User) -> Iterator[Page]:
    with signed_in(browser, live_server.url, root) as page:
        yield page


def test_the_timeline_is_one_list_in_the_order_of_time(desk: Page, root: User) -> None:
    invoice = invoice_history.eventful_invoice(root)
    desk.goto(f"/admin/invoices/invoice/{invoice.pk}/change/")
    sentences = desk.locator(".entry .sentence").all_inner_texts()
    order = [
        "110.000\u00a0₫ was paid",
        "The invoice was opened",
        "The buyer entered their details on the claim page",
        "The seller's tax data changed: address – moved to another street",
        "Partition",
        "Attempt 1 at viettel: refused BUYER_TAX_CODE_INVALID",
        "The provider refused the order's data",
    ]
    places = [next(at for at, text in enumerate(sentences) if text.startswith(start)) for start in order]
    assert places == sorted(places), sentences
    moment = desk.locator(".entry-attempt")
    expect(moment.get_by_text("SHA-256", exact=True)).to_be_hidden()
    moment.locator("summary").click()
    expect(moment.get_by_text("SHA-256", exact=True)).to_be_visible()
    assert_no_overflow(desk, *SCREENS)


def test_an_issued_invoice_shows_its_document(desk: Page) -> None:
    invoice = cast.issued(buyer=cast.COMPANY, number="1207")
    desk.goto(f"/admin/invoices/invoice/{invoice.pk}/change/")
    expect(desk.locator(".paper")).to_contain_text("Một trăm mười nghìn đồng")
    expect(desk.locator(".paper")).to_contain_text("Số 1207")
    assert_no_overflow(desk, *SCREENS)


def test_the_search_box_finds_a_buyer_without_accents(desk: Page) -> None:
    merchant = cast.seller()
    mai, other = cast.waiting(merchant, buyer=cast.PERSON), cast.waiting(merchant, buyer=cast.PERSON)
    desk.goto("/admin/")
    box = desk.get_by_role("searchbox", name="Search")
    box.fill("nguyen mai")
    box.press("Enter")
    for invoice in (mai, other):
        expect(desk.get_by_role("link", name=invoice.order_id, exact=True)).to_be_visible()
    assert "nguyen" not in desk.url
    assert_no_overflow(desk, *SCREENS)
    box.fill("unknown-order")
    box.press("Enter")
    expect(desk.get_by_text("Searched as: order, payment")).to_be_visible()
    assert_no_overflow(desk, *SCREENS)
    box.fill(f"http://anywhere.example/claims/{mai.claim_token}")
    box.press("Enter")
    expect(desk.get_by_role("heading", name=f"Order {mai.order_id}")).to_be_visible()


def test_an_edit_needs_a_reason_which_the_history_shows(desk: Page) -> None:
    info = cast.seller().tax_info
    desk.goto(f"/admin/merchants/taxinfo/{info.pk}/change/")
    desk.get_by_label("Address").fill("7 Hàng Bài")
    desk.get_by_role("button", name="Save", exact=True).click()
    expect(desk.get_by_text("This field is required.")).to_be_visible()
    assert_no_overflow(desk, *SCREENS)
    desk.get_by_role("textbox", name="Reason").fill("moved to another street")
    desk.get_by_role("button", name="Save", exact=True).click()
    expect(desk.locator(".messagelist .success")).to_be_visible()
    desk.goto(f"/admin/merchants/taxinfo/{info.pk}/history/")
    expect(desk.get_by_role("cell", name="moved to another street")).to_be_visible()
    expect(desk.get_by_text("1 Phan Chu Trinh → 7 Hàng Bài")).to_be_visible()
    assert_no_overflow(desk, *SCREENS)
