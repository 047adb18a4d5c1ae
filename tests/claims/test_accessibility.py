"""Accessibility: axe finds no serious violation, and everything can be reached by keyboard."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from invoices.models import Invoice
from tests import cast
from tests.browser import assert_accessible, serious_violations
from tests.claims.stages import STAGES, buyer_refused, page_path, with_files

pytestmark = pytest.mark.usefixtures("transactional_db")


@pytest.mark.parametrize("language", ["vi", "en"])
def test_axe_finds_no_serious_violation_at_any_stage(phone: Page, language: str, media: Any) -> None:
    stages = {name: build() for name, build in STAGES.items()} | {"files": with_files(cast.issued(buyer=cast.PERSON))}
    addresses = [f"{page_path(invoice)}?lang={language}" for invoice in stages.values()]
    addresses += [
        f"{page_path(stages['claimed'])}?edit=1",
        f"{page_path(stages['open'])}/stub",
        "/claims/unknown-token-of-nobody",
    ]
    for address in addresses:
        assert_accessible(phone, address)


def test_axe_finds_no_serious_violation_in_a_form_with_mistakes_or_too_late(phone: Page) -> None:
    invoice = cast.waiting()
    phone.goto(page_path(invoice))
    phone.get_by_label("Mã số thuế").fill("1")
    phone.get_by_role("button", name="Nhận hóa đơn").click()
    expect(phone.get_by_role("alert")).to_be_visible()
    assert serious_violations(phone) == []
    phone.emulate_media(color_scheme="dark")
    assert serious_violations(phone) == []
    Invoice.objects.filter(pk=invoice.pk).update(claim_deadline=invoice.paid_at)
    phone.get_by_role("button", name="Nhận hóa đơn").click()
    expect(phone.get_by_role("alert")).to_contain_text("không được ghi nhận")
    assert serious_violations(phone) == []


def test_axe_reports_a_missing_label(phone: Page) -> None:
    phone.goto(page_path(cast.waiting()))
    phone.evaluate("document.querySelector('label[for=taxCode]').remove()")
    assert [text for text in serious_violations(phone) if text.startswith("label: ")]


def test_a_claim_can_be_made_with_the_keyboard_only(phone: Page) -> None:
    phone.goto(page_path(cast.waiting()))
    phone.get_by_role("radio", name="Công ty").focus()
    phone.keyboard.press("ArrowRight")
    for text in ("Nguyễn Thị Mai", "", "5 Lê Lợi", "", ""):
        phone.keyboard.press("Tab")
        phone.keyboard.type(text)
    phone.keyboard.press("Enter")
    expect(phone.get_by_role("heading", level=1)).to_have_text("Đã nhận thông tin của bạn")


def test_the_summary_of_problems_has_the_focus_and_links_to_the_field(phone: Page) -> None:
    phone.goto(page_path(buyer_refused()))
    expect(phone.get_by_role("alert")).to_be_focused()
    phone.keyboard.press("Tab")
    phone.keyboard.press("Enter")
    phone.keyboard.type("7 Lê Lợi")
    expect(phone.get_by_label("Địa chỉ")).to_have_value("7 Lê Lợi")
