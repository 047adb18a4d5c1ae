"""The buyer's page in Chromium, at phone size."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from playwright.sync_api import Page, expect

from claims import progress
from config.base import clock
from invoices.lifecycle import State
from invoices.models import Invoice
from invoices.operations.claim import claim
from merchants import logos
from merchants.models import Logo
from tests import cast
from tests.browser import assert_no_overflow
from tests.claims.conftest import PHONE
from tests.claims.stages import page_path, with_files

pytestmark = pytest.mark.usefixtures("transactional_db")


def test_a_company_claims_corrects_a_mistake_and_edits(phone: Page) -> None:
    invoice = cast.waiting()
    phone.goto(page_path(invoice))
    expect(phone.get_by_role("heading", level=1)).to_have_text("Nhận hóa đơn của bạn")
    assert_no_overflow(phone)

    phone.get_by_label("Mã số thuế").fill("0100109107")
    phone.get_by_label("Tên đơn vị").fill(cast.COMPANY["name"])
    phone.get_by_label("Địa chỉ").fill(cast.COMPANY["address"])
    phone.get_by_role("button", name="Nhận hóa đơn").click()
    expect(phone.get_by_role("alert")).to_be_focused()
    expect(phone.get_by_label("Mã số thuế")).to_have_attribute("aria-invalid", "true")
    expect(phone.get_by_label("Mã số thuế")).to_have_value("0100109107")
    expect(phone.get_by_label("Tên đơn vị")).to_have_value(cast.COMPANY["name"])
    expect(phone.get_by_label("Địa chỉ")).to_have_value(cast.COMPANY["address"])
    assert_no_overflow(phone)

    phone.get_by_role("alert").get_by_role("link", name="Mã số thuế").click()
    phone.get_by_label("Mã số thuế").fill("0100 109 106")
    phone.get_by_label("Email").fill(cast.COMPANY["email"])
    phone.get_by_role("button", name="Nhận hóa đơn").click()
    expect(phone.get_by_role("heading", level=1)).to_have_text("Đã nhận thông tin của bạn")
    expect(phone.get_by_text("•••106")).to_be_visible()
    expect(phone.get_by_text("0100109106")).to_have_count(0)
    assert_no_overflow(phone)

    phone.get_by_role("link", name="Sửa", exact=True).click()
    expect(phone.get_by_label("Mã số thuế")).to_have_value("0100109106")
    phone.get_by_role("radio", name="Cá nhân").check()
    expect(phone.get_by_label("Mã số thuế")).to_be_hidden()
    phone.get_by_label("Họ và tên").fill("Nguyễn Thị Mai")
    assert_no_overflow(phone)
    phone.get_by_role("button", name="Lưu thông tin").click()
    expect(phone.get_by_text("N. T. Mai")).to_be_visible()
    row = Invoice.objects.get(pk=invoice.pk)
    assert (row.buyer["kind"], row.buyer["name"], row.state) == ("individual", "Nguyễn Thị Mai", State.QUEUED)


def test_a_late_claim_shows_what_to_do(phone: Page) -> None:
    invoice = cast.waiting()
    phone.goto(page_path(invoice))
    Invoice.objects.filter(pk=invoice.pk).update(claim_deadline=clock.now() - timedelta(seconds=1))
    phone.get_by_label("Mã số thuế").fill("0100109106")
    phone.get_by_role("button", name="Nhận hóa đơn").click()
    expect(phone.get_by_role("heading", level=1)).to_have_text("Đã hết thời hạn yêu cầu hóa đơn")
    expect(phone.get_by_role("alert")).to_be_visible()
    expect(phone.get_by_text("Vui lòng liên hệ người bán")).to_be_visible()
    assert_no_overflow(phone)


def test_the_page_updates_itself_until_the_files_are_there(phone: Page, requests: list[str], media: Path) -> None:
    invoice = cast.sending(buyer=cast.COMPANY)
    phone.clock.install()
    phone.goto(page_path(invoice))
    expect(phone.get_by_role("heading", level=1)).to_have_text("Hóa đơn đang được lập")
    assert_no_overflow(phone)
    phone.evaluate("document.body.dataset.here = 'yes'")
    phone.get_by_text("2 mặt hàng").click()  # a list that the buyer closed stays closed
    with phone.expect_response(lambda response: response.status == 304):  # no change, no body
        phone.clock.run_for(20_000)

    facts = {"number": "1207", "code": "00474597512BE94B7BAB367996EF464828", "lookup_code": "ABC123"}
    Invoice.objects.filter(pk=invoice.pk).update(state=State.ISSUED, issued_at=clock.now(), **facts)
    with_files(invoice)
    phone.clock.run_for(30_000)
    expect(phone.get_by_role("heading", level=1)).to_have_text("Hóa đơn của bạn đã được lập")
    expect(phone.get_by_text("1207")).to_be_visible()
    expect(phone.get_by_role("status")).to_have_text("Hóa đơn của bạn đã được lập")  # for screen readers
    assert phone.evaluate("document.body.dataset.here") == "yes", "swapped, not reloaded"
    expect(phone.get_by_text("Cà phê sữa đá")).to_be_hidden()
    before = len(requests)
    phone.clock.run_for(600_000)
    assert len(requests) == before, "a final page does not poll"
    assert_no_overflow(phone)
    with phone.expect_download() as download:
        phone.get_by_role("link", name="Tải PDF").click()
    assert download.value.suggested_filename == "1C26TAA-1207.pdf"


def test_without_javascript_the_page_reloads_itself_until_the_buyer_turns_that_off(
    browser: Any, live_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SOON", 1)  # a browser's reload takes whole seconds: the test waits for one
    invoice = cast.sending(buyer=cast.COMPANY)
    context = browser.new_context(viewport=PHONE, java_script_enabled=False, base_url=live_server.url)
    page = context.new_page()
    page.goto(page_path(invoice))
    Invoice.objects.filter(pk=invoice.pk).update(state=State.SUBMITTED, number="1207")
    expect(page.get_by_role("heading", level=1)).to_have_text("Cơ quan thuế đang kiểm tra hóa đơn")
    monkeypatch.setattr(progress, "SOON", 60)  # no reload between here and the click
    page.goto(page_path(invoice))
    page.get_by_role("link", name="Tắt tự động tải lại").click()
    expect(page.locator(".auto-reload")).to_contain_text("Đã tắt tự động tải lại trang.")
    assert page.locator("meta[http-equiv]").count() == 0
    page.get_by_role("link", name="Bật tự động tải lại", exact=True).click()
    expect(page.get_by_role("link", name="Tắt tự động tải lại")).to_be_visible()
    context.close()


def test_the_page_is_one_request_and_less_than_50_kb_with_the_logo(
    phone: Page, requests: list[str], live_server: Any
) -> None:
    merchant = cast.seller()
    Logo.objects.create(merchant=merchant, image=b"x" * logos.MAX_STORED)
    response = phone.goto(page_path(cast.waiting(merchant)), wait_until="networkidle")
    assert response is not None
    assert [url for url in requests if not url.startswith("data:")] == [response.url]
    assert len(response.body()) < 50 * 1024


def test_a_shared_phone_keeps_no_personal_data(phone: Page) -> None:
    invoice = cast.waiting()
    phone.goto(page_path(invoice))
    phone.get_by_role("radio", name="Cá nhân").check()
    phone.get_by_label("Họ và tên").fill("Nguyễn Thị Mai")
    phone.get_by_label("Email").fill("mai@example.com")
    phone.get_by_role("button", name="Nhận hóa đơn").click()
    phone.get_by_role("link", name="Sửa", exact=True).click()
    phone.get_by_label("Điện thoại").fill("0901234567")
    phone.get_by_role("button", name="Lưu thông tin").click()
    expect(phone.get_by_text("•••567")).to_be_visible()
    everything = "document.body.innerText + [...document.querySelectorAll('input')].map(input => input.value)"
    for _ in range(4):
        shown = phone.evaluate(everything)
        assert not [word for word in ("Nguyễn Thị", "mai@example.com", "0901234567") if word in shown]
        if phone.go_back() is None:
            break
    assert phone.context.storage_state() == {"cookies": [], "origins": []}


def test_communes_are_suggested_while_the_address_is_typed(phone: Page) -> None:
    call_command("loaddata", "admin_units", verbosity=0)
    phone.goto(page_path(cast.waiting()))
    address = phone.get_by_label("Địa chỉ")
    address.press_sequentially("12 Tràng Tiền, hoan kiem")
    phone.get_by_role("button", name="Phường Hoàn Kiếm, Thành phố Hà Nội").click()
    expect(address).to_have_value("12 Tràng Tiền, Phường Hoàn Kiếm, Thành phố Hà Nội")
    expect(address).to_be_focused()


def test_a_claim_needs_no_javascript_and_no_cookie(browser: Any, live_server: Any) -> None:
    invoice = cast.waiting()
    context = browser.new_context(viewport=PHONE, java_script_enabled=False, base_url=live_server.url)
    page = context.new_page()
    page.goto(page_path(invoice))
    page.get_by_role("radio", name="Cá nhân").check()
    page.get_by_label("Họ và tên").fill("Trần Văn Bình")
    page.get_by_role("button", name="Nhận hóa đơn").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Đã nhận thông tin của bạn")
    assert context.cookies() == []
    context.close()


def test_every_page_fits_every_screen(phone: Page) -> None:
    long = "Cà phê sữa đá hạt rang mộc Cầu Đất thượng hạng ly lớn ít đường nhiều đá"
    line = {"name": long, "unit": "ly", "quantity": "1.5", "unitPrice": 1_000_000, "vatRate": "8%"}
    plain, known = cast.waiting(lines=[line] * 2, total=3_000_000), cast.waiting()
    claim(known.claim_token, cast.COMPANY)
    pages = [page_path(plain), f"{page_path(plain)}/stub", page_path(known), f"{page_path(known)}?edit=1&lang=en"]
    pages += [page_path(cast.issued(buyer=cast.COMPANY, number="12345678")), page_path(cast.queued())]
    for page in [*pages, "/claims/unknown-token-of-nobody"]:
        phone.goto(page)
        assert_no_overflow(phone, 320, 375, 768, 1280)
