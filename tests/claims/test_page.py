"""The buyer's page: its responses, its texts and its privacy."""

import base64
import gzip
import hashlib
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError
from django.test import Client

from claims.communes import suggest_communes
from claims.masking import mask_buyer
from config.base import clock
from config.models import Configuration
from invoices.lifecycle import State
from invoices.models import Invoice
from invoices.operations import claim
from merchants import logos
from merchants.models import Logo
from tests import cast
from tests.claims.stages import (
    STAGES,
    buyer_refused,
    claimed,
    overdue,
    page_path,
    partly_refunded,
    twin_path,
    with_files,
)

pytestmark = pytest.mark.django_db
KB = 1024
GOODS = ["Sữa tươi", "Cà phê hạt", "Bánh quy bơ", "Nước mắm", "Khăn giấy", "Gạo thơm", "Trà ô long", "Mì ăn liền"]
COMPANY_FORM = {
    "kind": "company",
    "taxCode": cast.COMPANY["taxCode"],
    "legalName": cast.COMPANY["name"],
    "address": cast.COMPANY["address"],
    "email": cast.COMPANY["email"],
}


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_is_shown_in_both_languages_privately_and_small(client: Client, stage: str) -> None:
    invoice = STAGES[stage]()
    for language in ("vi", "en"):
        response = client.get(f"{page_path(invoice)}?lang={language}")
        text = response.content.decode()
        assert response.status_code == 200
        assert f'<html lang="{language}">' in text
        assert response["Content-Language"] == language
        assert len(response.content) < 50 * KB
        assert invoice.order_id in text
        assert not re.findall(r"""(?:src|href|action)=["'](?:https?:)?//""", text), "an address of another site"
        assert "url(" not in text
        assert "Nguyễn Thị Mai" not in text
        assert response["Cache-Control"] == "no-store"
        assert response["Referrer-Policy"] == "no-referrer"
        assert "noindex" in response["X-Robots-Tag"] and 'name="robots" content="noindex' in text
        assert "default-src 'none'" in response["Content-Security-Policy"]
        assert "style=" not in text and "onclick" not in text


def test_the_operators_notice_is_on_every_page(client: Client) -> None:
    invoice = cast.waiting()
    assert 'class="announcement"' not in client.get(page_path(invoice)).content.decode()
    row = Configuration(key="claims.notice")
    row.write("Từ 22 giờ đến 23 giờ <hôm nay> hệ thống được nâng cấp.")
    assert "22 giờ đến 23 giờ &lt;hôm nay&gt; hệ" in client.get(page_path(invoice)).content.decode()
    Configuration.objects.filter(pk=row.pk).update(is_secret=True)
    assert "22 giờ" not in client.get(page_path(invoice)).content.decode()


def test_vietnamese_is_the_default_whatever_the_browser_says(client: Client) -> None:
    url = page_path(cast.waiting())
    assert "Nhận hóa đơn của bạn" in client.get(url, headers={"accept-language": "en-US,en"}).content.decode()


def test_the_language_is_remembered_and_the_console_keeps_its_own(client: Client) -> None:
    url = page_path(cast.waiting())
    client.get(f"{url}?lang=en")
    assert "Get your invoice" in client.get(url).content.decode()
    assert [morsel["path"] for morsel in client.cookies.values()] == ["/claims/"]


def test_an_unknown_language_is_ignored(client: Client) -> None:
    response = client.get(f"{page_path(cast.waiting())}?lang=../../fr")
    assert response["Content-Language"] == "vi"
    assert not client.cookies


def test_the_page_shows_the_sale_and_the_deadline(client: Client) -> None:
    invoice = cast.waiting()
    text = client.get(page_path(invoice)).content.decode()
    deadline = invoice.claim_deadline.astimezone(clock.VIETNAM)
    for shown in ("Cà phê Sương Mai", "Cà phê sữa đá", "2 ly", "110.000\u00a0₫", "8.148\u00a0₫", f"{deadline:%H:%M}"):
        assert shown in text


def test_a_claim_redirects_to_the_page(client: Client) -> None:
    invoice = cast.waiting()
    response = client.post(page_path(invoice), COMPANY_FORM)
    assert (response.status_code, response["Location"]) == (303, page_path(invoice))
    row = Invoice.objects.get(pk=invoice.pk)
    assert row.state == State.QUEUED
    assert row.buyer == {**cast.COMPANY, "legalName": cast.COMPANY["name"]}


def test_fields_of_another_kind_of_buyer_are_dropped(client: Client) -> None:
    invoice = cast.waiting()
    client.post(page_path(invoice), COMPANY_FORM | {"kind": "individual", "name": "Trần Văn Bình", "budgetCode": "1"})
    buyer = Invoice.objects.get(pk=invoice.pk).buyer
    assert buyer["name"] == "Trần Văn Bình"
    assert not {"taxCode", "legalName", "budgetCode"} & set(buyer)


@pytest.mark.parametrize(
    "pasted",
    ["0100 109 106", "0100.109.106", "0100-109-106", "MST: 0100109106", "\u200b0100109106\u00a0", "0100109106-001"],
)
def test_a_pasted_tax_code_is_normalised(client: Client, pasted: str) -> None:
    invoice = cast.waiting()
    client.post(page_path(invoice), COMPANY_FORM | {"taxCode": pasted})
    expected = "0100109106-001" if pasted.endswith("001") else "0100109106"
    assert Invoice.objects.get(pk=invoice.pk).buyer["taxCode"] == expected


def test_a_number_pasted_with_spaces_fits_the_field(client: Client) -> None:
    invoice = cast.waiting()
    text = client.get(page_path(invoice)).content.decode()
    for name in ("taxCode", "personalId", "budgetCode", "phone"):
        assert re.search(rf'<input id="{name}"[^>]* maxlength="40"', text)
    client.post(page_path(invoice), COMPANY_FORM | {"phone": "+84 (0) 90-123.45 67"})
    assert Invoice.objects.get(pk=invoice.pk).buyer["phone"] == "0901234567"


def test_bad_input_is_422_with_every_problem_at_its_field_and_keeps_what_was_typed(client: Client) -> None:
    invoice = cast.waiting()
    form = {"kind": "company", "taxCode": "0100109107", "legalName": "", "address": 'Số 1 "A" <b>', "email": "x"}
    response = client.post(page_path(invoice), form)
    text = response.content.decode()
    assert response.status_code == 422
    for field in ("taxCode", "legalName", "email"):
        assert f'id="{field}-problem"' in text
        assert f'aria-describedby="{field}-problem' in text
        assert f'href="#{field}"' in text
    assert "Chữ số thứ mười không khớp" in text
    assert 'value="0100109107"' in text
    assert "Số 1 &quot;A&quot; &lt;b&gt;" in text
    assert 'http-equiv="refresh"' not in text
    assert Invoice.objects.get(pk=invoice.pk).state == State.WAITING


@pytest.mark.parametrize("kind", ["", "alien"])
def test_an_unknown_kind_of_buyer_is_422(client: Client, kind: str) -> None:
    response = client.post(page_path(cast.waiting()), COMPANY_FORM | {"kind": kind})
    assert response.status_code == 422
    assert 'id="kind-problem"' in response.content.decode()


@pytest.mark.parametrize(
    ("build", "status"), [(overdue, 410), (cast.sending, 409), (cast.issued, 409), (partly_refunded, 409)]
)
def test_a_late_claim_says_that_nothing_was_saved(client: Client, build: Callable[[], Invoice], status: int) -> None:
    response = client.post(page_path(build()), COMPANY_FORM)
    assert response.status_code == status
    assert "không được ghi nhận" in response.content.decode()


def test_a_claim_is_shown_masked_until_it_is_edited(client: Client) -> None:
    invoice = claimed()
    shown = client.get(page_path(invoice)).content.decode()
    assert "•••106" in shown and cast.COMPANY["taxCode"] not in shown and cast.COMPANY["email"] not in shown
    assert f'value="{cast.COMPANY["taxCode"]}"' in client.get(f"{page_path(invoice)}?edit=1").content.decode()


def test_an_edit_shows_nothing_personal_and_empty_fields_keep_their_values(client: Client) -> None:
    invoice = cast.waiting()
    person = cast.PERSON | {"email": "mai@example.com"}
    claim.claim(invoice.claim_token, person)
    text = client.get(f"{page_path(invoice)}?edit=1").content.decode()
    assert "N. T. Mai" in text and "m•••@example.com" in text
    assert not [value for field, value in person.items() if field != "kind" and value in text]
    client.post(
        page_path(invoice), {"kind": "individual", "name": "", "address": "", "phone": "0907654321", "email": ""}
    )
    assert Invoice.objects.get(pk=invoice.pk).buyer == person | {"phone": "0907654321"}


def test_a_refused_field_is_marked_and_can_be_corrected_until_the_issue_limit(client: Client) -> None:
    invoice = buyer_refused()
    text = client.get(page_path(invoice)).content.decode()
    assert 'aria-describedby="address-problem address-hint"' in text and "chưa được chấp nhận" in text
    assert f"<strong>{invoice.issue_until.astimezone(clock.VIETNAM):%H:%M}</strong>" in text
    response = client.post(page_path(invoice), {"kind": "individual", "address": "7 Lê Lợi, phường Sài Gòn"})
    assert response.status_code == 303
    corrected = Invoice.objects.get(pk=invoice.pk)
    assert (corrected.state, corrected.buyer["name"]) == (State.QUEUED, "Nguyễn Thị Mai")


def test_the_merchant_is_shown_by_logo_or_initials(client: Client) -> None:
    merchant = cast.seller()
    invoice = cast.waiting(merchant)
    for path in ("", "/stub"):
        assert ">CM</span>" in client.get(page_path(invoice) + path).content.decode()
    Logo.objects.create(merchant=merchant, image=b"RIFF")
    for path in ("", "/stub"):
        text = client.get(page_path(invoice) + path).content.decode()
        assert '<img src="data:image/webp;base64,UklGRg==" alt="">' in text and ">CM</span>" not in text


def test_the_longest_receipt_with_the_largest_logo_stays_small_when_compressed(client: Client) -> None:
    dice = random.Random(7)
    sold = [dice.randrange(1000, 10**6) for _ in range(300)]
    names = [f"{dice.choice(GOODS)} {dice.choice(GOODS)} {dice.getrandbits(40):x}" for _ in sold]
    lines = [
        {"name": name, "unit": "hộp", "quantity": 1, "unitPrice": price, "vatRate": dice.choice(["5%", "8%", "10%"])}
        for name, price in zip(names, sold, strict=True)
    ]
    invoice = cast.waiting(lines=lines, total=sum(sold))
    Logo.objects.create(merchant=invoice.merchant, image=dice.randbytes(logos.MAX_STORED))
    browser = {"accept-encoding": "gzip, deflate, br"}
    for language in ("vi", "en"):
        response = client.get(f"{page_path(invoice)}?lang={language}", headers=browser)
        assert response["Content-Encoding"] == "gzip" and len(response.content) < 51_200
        text = gzip.decompress(response.content).decode()
        assert all(name in text for name in names)
    second = client.get(page_path(invoice), headers={**browser, "if-none-match": response["ETag"]})
    assert (second.status_code, second.content) == (304, b"")


def test_an_unchanged_page_is_304(client: Client) -> None:
    invoice = cast.sending()
    first = client.get(page_path(invoice))
    second = client.get(page_path(invoice), headers={"if-none-match": first["ETag"]})
    assert (second.status_code, second.content, second["Cache-Control"]) == (304, b"", "no-store")
    Invoice.objects.filter(pk=invoice.pk).update(state=State.UNCERTAIN)
    assert client.get(page_path(invoice), headers={"if-none-match": first["ETag"]}).status_code == 200


def test_style_and_script_are_inline_and_allowed_by_hash(client: Client) -> None:
    response = client.get(page_path(cast.waiting()))
    text, policy = response.content.decode(), response["Content-Security-Policy"]
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        ((_, inline),) = re.findall(rf"<{tag}( [^>]*)?>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}';" in policy
    assert "unsafe" not in policy


def test_editing_unmasks_nothing_once_the_invoice_is_taken(client: Client) -> None:
    invoice = cast.sending(buyer=cast.COMPANY)
    assert cast.COMPANY["taxCode"] not in client.get(f"{page_path(invoice)}?edit=1").content.decode()


def test_a_person_is_masked_more_than_a_company() -> None:
    full = cast.PERSON | {"personalId": "001203001234", "email": "mai@example.com"}
    assert mask_buyer(full) == {
        "kind": "individual",
        "name": "N. T. Mai",
        "address": "•••, phường Bến Thành",
        "phone": "•••567",
        "personalId": "•••234",
        "email": "m•••@example.com",
    }


@pytest.mark.parametrize("path", ["", "/stub", "/qr.svg", "/files/pdf"])
def test_an_unknown_link_is_404_and_says_so(client: Client, path: str) -> None:
    response = client.get(f"/claims/{'x' * 32}{path}")
    assert response.status_code == 404
    assert "Không tìm thấy hóa đơn theo liên kết này" in response.content.decode()
    assert response["Cache-Control"] == "no-store"


def test_a_form_from_another_site_is_refused_without_cookies() -> None:
    client, invoice = Client(enforce_csrf_checks=True), cast.waiting()
    foreign = client.post(page_path(invoice), COMPANY_FORM, headers={"sec-fetch-site": "cross-site"})
    assert foreign.status_code == 403
    assert Invoice.objects.get(pk=invoice.pk).state == State.WAITING
    own = client.post(page_path(invoice), COMPANY_FORM, headers={"sec-fetch-site": "same-origin", "origin": "null"})
    assert own.status_code == 303
    assert not client.cookies


def test_the_page_reloads_itself_while_the_invoice_may_change(client: Client, media: Path) -> None:
    def refreshes(invoice: Invoice, query: str = "") -> bool:
        return b'http-equiv="refresh"' in client.get(page_path(invoice) + query).content

    assert refreshes(cast.sending()) and refreshes(claimed()) and refreshes(cast.issued())
    assert not refreshes(cast.waiting()), "a form is open"
    assert not refreshes(claimed(), "?edit=1")
    assert not refreshes(with_files(cast.issued()))


def test_an_issued_invoice_shows_its_number_and_offers_its_files(client: Client, media: Path) -> None:
    invoice = with_files(cast.issued(buyer=cast.COMPANY, number="1207"))
    text = client.get(page_path(invoice)).content.decode()
    assert "1207" in text and invoice.code in text and f"{page_path(invoice)}/files/xml" in text
    pdf = client.get(f"{page_path(invoice)}/files/pdf")
    assert b"".join(pdf.streaming_content) == b"%PDF-1.7"
    assert (pdf["Content-Type"], pdf["Cache-Control"]) == ("application/pdf", "no-store")
    assert pdf["Content-Disposition"] == 'attachment; filename="1C26TAA-1207.pdf"'


def test_a_missing_file_is_404(client: Client) -> None:
    assert client.get(f"{page_path(cast.issued())}/files/pdf").status_code == 404
    assert client.get(f"{page_path(cast.issued())}/files/exe").status_code == 404


def test_the_stub_prints_the_link_as_text_and_as_qr_code(client: Client) -> None:
    invoice = cast.waiting()
    stub = client.get(f"{page_path(invoice)}/stub").content.decode()
    assert invoice.claim_url in stub and "110.000" in stub
    assert client.get(f"{page_path(invoice)}/qr.svg").content.decode() in stub, "no second request"
    qr = client.get(f"{page_path(invoice)}/qr.svg")
    assert qr["Content-Type"] == "image/svg+xml"
    assert qr.content.startswith(b"<svg")


def test_a_database_that_is_down_is_503_and_the_form_can_be_sent_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OperationalError("connection refused")

    invoice = cast.waiting()
    monkeypatch.setattr(claim, "lock_order", fail)
    assert client.post(page_path(invoice), COMPANY_FORM).status_code == 503
    response = client.put(twin_path(invoice), {"buyer": cast.COMPANY}, content_type="application/json")
    assert (response.status_code, response["Retry-After"]) == (503, "5")


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("hoan kiem", "Phường Hoàn Kiếm, Thành phố Hà Nội"),
        ("Hoàn Kiếm", "Phường Hoàn Kiếm, Thành phố Hà Nội"),
        ("đống đa ha noi", "Phường Đống Đa, Thành phố Hà Nội"),
    ],
)
def test_communes_are_found_with_or_without_accents(client: Client, typed: str, found: str) -> None:
    call_command("loaddata", "admin_units", verbosity=0)
    response = client.get("/claims/communes", {"q": typed})
    assert found in response.json()["communes"]
    assert len(response.json()["communes"]) <= 8
    assert suggest_communes("h") == suggest_communes("") == suggest_communes("%") == suggest_communes("zzz") == []


def test_no_detail_of_the_buyer_reaches_the_log(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="claims")
    invoice = cast.waiting()
    client.post(page_path(invoice), COMPANY_FORM | {"taxCode": "0100109107"})
    client.post(page_path(invoice), COMPANY_FORM)
    assert "claimed" in caplog.text
    for secret in (*cast.COMPANY.values(), "0100109107"):
        assert secret == "company" or secret not in caplog.text
