"""Nobody is kept out: axe finds nothing serious, and the keyboard reaches everything."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from invoices.models import Invoice
from tests import cast
from tests.browser import assert_accessible, serious_violations
from tests.claims.stages import STAGES, link, to_be_mended, with_files

pytestmark = pytest.mark.usefixtures("transactional_db")


@pytest.mark.parametrize("language", ["vi", "en"])
def test_axe_finds_nothing_serious_at_any_stage(phone: Page, language: str, media: Any) -> None:
    stages = {name: build() for name, build in STAGES.items()} | {"files": with_files(cast.issued(buyer=cast.PERSON))}
    addresses = [f"{link(invoice)}?lang={language}" for invoice in stages.values()]
    addresses += [
        f"{link(stages['claimed'])}?edit=1",
        f"{link(stages['open'])}/stub",
        "/claims/nobody-knows-this-token",
    ]
    for address in addresses:
        assert_accessible(phone, address)


def test_axe_finds_nothing_serious_in_a_form_with_mistakes_or_too_late(phone: Page) -> None:
    invoice = cast.waiting()
    phone.goto(link(invoice))
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


def test_what_axe_looks_for_is_found_where_it_is_wrong(phone: Page) -> None:
    phone.goto(link(cast.waiting()))
    phone.evaluate("document.querySelector('label[for=taxCode]').remove()")
    assert [text for text in serious_violations(phone) if text.startswith("label: ")]


def test_a_claim_is_made_with_the_keyboard_alone(phone: Page) -> None:
    phone.goto(link(cast.waiting()))
    phone.get_by_role("radio", name="Công ty").focus()
    phone.keyboard.press("ArrowRight")
    for text in ("Nguyễn Thị Mai", "", "5 Lê Lợi", "", ""):
        phone.keyboard.press("Tab")
        phone.keyboard.type(text)
    phone.keyboard.press("Enter")
    expect(phone.get_by_role("heading", level=1)).to_have_text("Đã nhận thông tin của bạn")


def test_what_was_refused_takes_the_focus_and_leads_to_its_input(phone: Page) -> None:
    phone.goto(link(to_be_mended()))
    expect(phone.get_by_role("alert")).to_be_focused()
    phone.keyboard.press("Tab")
    phone.keyboard.press("Enter")
    phone.keyboard.type("7 Lê Lợi")
    expect(phone.get_by_label("Địa chỉ")).to_have_value("7 Lê Lợi")
