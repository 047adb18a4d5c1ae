"""The buyer's page in a real browser, on a telephone's screen."""

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from playwright.sync_api import Page, expect, sync_playwright

from claims.claiming import claim
from config import clock
from invoices.lifecycle import State
from invoices.models import Invoice
from tests import cast
from tests.claims.stages import link, with_files

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
QUIET += ["--disable-component-update", "--no-first-run"]
PHONE = {"width": 375, "height": 812}
expect.set_options(timeout=20_000)  # a page looks again after some seconds by itself

pytestmark = [
    pytest.mark.usefixtures("transactional_db"),
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine; `apt-get install chromium` brings it"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    # Playwright runs an event loop in this thread; Django must not take our queries for an async view's.
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def phone(browser: Any, live_server: Any) -> Iterator[Page]:
    """A page that notes every request and every complaint of the browser."""
    context = browser.new_context(viewport=PHONE, device_scale_factor=2, locale="en-US", base_url=live_server.url)
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.set_default_timeout(10_000)
    yield page
    context.close()
    assert [url for url in asked if not url.startswith((live_server.url, "data:"))] == []
    assert [text for text in said if "Content Security" in text] == []


def fits(page: Page) -> None:
    """Nothing sticks out at the side."""
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def shoot(page: Page, folder: Path, name: str) -> None:
    fits(page)
    page.screenshot(path=folder / f"{name}.png", full_page=True)


def test_a_company_claims_errs_mends_and_edits(phone: Page, tmp_path: Path) -> None:
    invoice = cast.waiting()
    phone.goto(link(invoice))
    expect(phone.get_by_role("heading", level=1)).to_have_text("Nhận hóa đơn của bạn")
    shoot(phone, tmp_path, "1-open")

    phone.get_by_label("Mã số thuế").fill("0100109107")
    phone.get_by_label("Tên đơn vị").fill(cast.COMPANY["name"])
    phone.get_by_label("Địa chỉ").fill(cast.COMPANY["address"])
    phone.get_by_role("button", name="Nhận hóa đơn").click()
    expect(phone.get_by_role("alert")).to_be_focused()
    expect(phone.get_by_label("Mã số thuế")).to_have_attribute("aria-invalid", "true")
    expect(phone.get_by_label("Mã số thuế")).to_have_value("0100109107")
    expect(phone.get_by_label("Tên đơn vị")).to_have_value(cast.COMPANY["name"])
    expect(phone.get_by_label("Địa chỉ")).to_have_value(cast.COMPANY["address"])
    shoot(phone, tmp_path, "2-wrong")

    phone.get_by_role("alert").get_by_role("link", name="Mã số thuế").click()
    phone.get_by_label("Mã số thuế").fill("0100 109 106")
    phone.get_by_label("E-mail").fill(cast.COMPANY["email"])
    phone.get_by_role("button", name="Nhận hóa đơn").click()
    expect(phone.get_by_role("heading", level=1)).to_have_text("Đã nhận thông tin của bạn")
    expect(phone.get_by_text("•••106")).to_be_visible()
    expect(phone.get_by_text("0100109106")).to_have_count(0)
    shoot(phone, tmp_path, "3-claimed")

    phone.get_by_role("link", name="Sửa", exact=True).click()
    expect(phone.get_by_label("Mã số thuế")).to_have_value("0100109106")
    phone.get_by_role("radio", name="Cá nhân").check()
    expect(phone.get_by_label("Mã số thuế")).to_be_hidden()
    phone.get_by_label("Họ và tên").fill("Nguyễn Thị Mai")
    shoot(phone, tmp_path, "4-editing")
    phone.get_by_role("button", name="Lưu thông tin").click()
    expect(phone.get_by_text("N. T. Mai")).to_be_visible()
    row = Invoice.objects.get(pk=invoice.pk)
    assert (row.buyer["kind"], row.buyer["name"], row.state) == ("individual", "Nguyễn Thị Mai", State.QUEUED)


def test_who_comes_too_late_is_told_what_to_do(phone: Page, tmp_path: Path) -> None:
    invoice = cast.waiting()
    phone.goto(link(invoice))
    Invoice.objects.filter(pk=invoice.pk).update(claim_deadline=clock.now() - timedelta(seconds=1))
    phone.get_by_label("Mã số thuế").fill("0100109106")
    phone.get_by_role("button", name="Nhận hóa đơn").click()
    expect(phone.get_by_role("heading", level=1)).to_have_text("Đã hết thời hạn yêu cầu hóa đơn")
    expect(phone.get_by_role("alert")).to_be_visible()
    expect(phone.get_by_text("Vui lòng liên hệ người bán")).to_be_visible()
    shoot(phone, tmp_path, "5-too-late")


def test_the_page_follows_the_invoice_by_itself_until_the_files_are_there(
    phone: Page, tmp_path: Path, media: Path
) -> None:
    invoice = cast.sending(buyer=cast.COMPANY)
    phone.goto(link(invoice))
    expect(phone.get_by_role("heading", level=1)).to_have_text("Hóa đơn đang được lập")
    shoot(phone, tmp_path, "6-sending")
    facts = {"number": "1207", "code": "00474597512BE94B7BAB367996EF464828", "lookup_code": "ABC123"}
    Invoice.objects.filter(pk=invoice.pk).update(state=State.ISSUED, issued_at=clock.now(), **facts)
    with_files(invoice)
    expect(phone.get_by_role("heading", level=1)).to_have_text("Hóa đơn của bạn đã lập xong")
    expect(phone.get_by_text("1207")).to_be_visible()
    shoot(phone, tmp_path, "7-issued")
    with phone.expect_download() as download:
        phone.get_by_role("link", name="Tải PDF").click()
    assert download.value.suggested_filename == "1C26TAA-1207.pdf"


def test_a_commune_is_suggested_while_the_address_is_typed(phone: Page, tmp_path: Path) -> None:
    call_command("loaddata", "admin_units", verbosity=0)
    phone.goto(link(cast.waiting()))
    address = phone.get_by_label("Địa chỉ")
    address.press_sequentially("12 Tràng Tiền, hoan kiem")
    phone.get_by_role("button", name="Phường Hoàn Kiếm, Thành phố Hà Nội").click()
    expect(address).to_have_value("12 Tràng Tiền, Phường Hoàn Kiếm, Thành phố Hà Nội")
    expect(address).to_be_focused()


def test_a_claim_needs_no_javascript_and_no_cookie(browser: Any, live_server: Any) -> None:
    invoice = cast.waiting()
    context = browser.new_context(viewport=PHONE, java_script_enabled=False, base_url=live_server.url)
    page = context.new_page()
    page.goto(link(invoice))
    page.get_by_role("radio", name="Cá nhân").check()
    page.get_by_label("Họ và tên").fill("Trần Văn Bình")
    page.get_by_role("button", name="Nhận hóa đơn").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Đã nhận thông tin của bạn")
    assert context.cookies() == []
    context.close()


@pytest.mark.parametrize("width", [320, 375, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_every_screen(browser: Any, live_server: Any, tmp_path: Path, width: int, scheme: Any) -> None:
    long = "Cà phê sữa đá hạt rang mộc Cầu Đất thượng hạng ly lớn ít đường nhiều đá"
    line = {"name": long, "unit": "ly", "quantity": "1.5", "unitPrice": 1_000_000, "vatRate": "8%"}
    plain, known = cast.waiting(lines=[line] * 2, total=3_000_000), cast.waiting()
    claim(known.claim_token, cast.COMPANY)
    size = {"width": width, "height": 812}
    context = browser.new_context(viewport=size, device_scale_factor=2, color_scheme=scheme, base_url=live_server.url)
    page = context.new_page()
    pages = {"open": link(plain), "claimed": link(known), "edit": f"{link(known)}?edit=1&lang=en"}
    pages |= {"issued": link(cast.issued(buyer=cast.COMPANY, number="12345678")), "late": link(cast.queued())}
    pages |= {"stub": f"{link(plain)}/stub", "unknown": "/claims/nobody-knows-this-token"}
    for name, path in pages.items():
        page.goto(path)
        shoot(page, tmp_path, f"{name}-{width}-{scheme}")
    context.close()
