"""The files of one invoice, rendered on request: the XML of Decision 1450/1510 (reference section 8.1) and a PDF."""

import io
import json
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from functools import cache
from typing import Any
from xml.etree import ElementTree as Xml

from invoices.dev.simulator.ledger import EPOCH, Row, Tenant, day_of

TITLES = {"1": "Hóa đơn giá trị gia tăng", "2": "Hóa đơn bán hàng"}
RATES = {-2: "KCT", -1: "KKKNT", 0: "0%", 5: "5%", 8: "8%", 10: "10%"}
RELATION = {"3": "1", "5": "2"}  # TCHDon: 1 replaces, 2 adjusts
PROVIDER_TAX_CODE = "0199999991"  # invented
STYLE = b'<?xml version="1.0"?><xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"/>'


def render_xml(tenant: Tenant, row: Row, code: str) -> bytes:
    """`code`: the tax authority's, "" until it answers. Amounts are texts, negative in downward adjustments."""
    body = _body(row)
    root = Xml.Element("HDon")
    content = Xml.SubElement(root, "DLHDon", Id=f"HD{row.number}")
    _header(content, row, body)
    inside = Xml.SubElement(content, "NDHDon")
    _fill(inside, "NBan", {"Ten": tenant.name, "MST": tenant.tax_code, "DChi": tenant.address})
    _buyer(inside, body["buyerInfo"])
    goods = Xml.SubElement(inside, "DSHHDVu")
    for item in body["itemInfo"]:
        _fill(goods, "HHDVu", dict(_item(item)))
    _totals(inside, body)
    other = Xml.SubElement(Xml.SubElement(content, "TTKhac"), "TTin")
    for name, text in (("TTruong", "Mã tra cứu"), ("KDLieu", "string"), ("DLieu", row.lookup_code)):
        Xml.SubElement(other, name).text = text
    if code:
        Xml.SubElement(root, "MCCQT", Id=f"CQT{row.number}").text = code
    Xml.SubElement(Xml.SubElement(root, "DSCKS"), "NBan")  # a real invoice carries the seller's signature here
    return Xml.tostring(root, encoding="UTF-8", xml_declaration=True)


def zip_xml(content: bytes, name: str, *, nested: bool) -> bytes:
    """XML and style sheet in a ZIP. `nested`: that ZIP in another, as the vendor sometimes does."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr(f"{name}.xml", content)
        bundle.writestr("invoice.xsl", STYLE)
    if not nested:
        return packed.getvalue()
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w") as bundle:
        bundle.writestr(f"{name}.zip", packed.getvalue())
    return outer.getvalue()


def render_pdf(tenant: Tenant, row: Row, code: str) -> bytes:
    """One or more A4 pages, in a font with the Vietnamese letters."""
    from reportlab.pdfgen.canvas import Canvas  # installed only where the simulator runs

    font, page = _font(), io.BytesIO()
    canvas = Canvas(page, pageCompression=1, invariant=1)
    canvas.setTitle(row.invoice_no)
    y = 800
    for size, text in _lines(tenant, row, _body(row), code):
        if y < 40:
            canvas.showPage()
            y = 800
        canvas.setFont(font, size)
        canvas.drawString(40, y, text)
        y -= size + 5
    canvas.save()
    return page.getvalue()


@cache
def _font() -> str:
    import font_roboto
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    pdfmetrics.registerFont(TTFont("Roboto", font_roboto.Roboto))
    return "Roboto"


def _lines(tenant: Tenant, row: Row, body: dict[str, Any], code: str) -> Iterator[tuple[int, str]]:
    buyer, summary = body["buyerInfo"], body["summarizeInfo"]
    yield 16, TITLES.get(row.series.form, "Hóa đơn điện tử").upper()
    yield 9, "Bản mô phỏng, không có giá trị pháp lý"
    yield 10, f"Ký hiệu: {row.series.form}{row.series.symbol}    Số: {row.number}    Ngày: {row.issue_date:%d/%m/%Y}"
    yield 10, f"Mã của cơ quan thuế: {code or 'chưa có'}"
    yield 11, f"Người bán: {tenant.name}    MST: {tenant.tax_code}"
    yield 10, f"Địa chỉ: {tenant.address}"
    yield 11, f"Người mua: {' – '.join(filter(None, (buyer.get('buyerLegalName'), buyer.get('buyerName'))))}"
    yield 10, f"MST: {buyer.get('buyerTaxCode', '')}    Địa chỉ: {buyer.get('buyerAddressLine', '')}"
    for item in body["itemInfo"]:
        yield 10, f"{item['lineNumber']}. {item['itemName'][:80]}"
        rate = RATES[item["taxPercentage"]] if "taxPercentage" in item else ""
        measure = f"{item['quantity']} {item.get('unitName', '')} × {item['unitPrice']}"
        yield 9, f"     {measure} = {_money(item['itemTotalAmountWithoutTax'])} đ   {rate}"
    yield 10, f"Cộng tiền hàng: {_money(summary['totalAmountWithoutTax'])} đ"
    if "taxBreakdowns" in body:
        yield 10, f"Tiền thuế: {_money(summary['totalTaxAmount'])} đ"
    yield 12, f"Tổng thanh toán: {_money(row.total)} đ"
    yield 10, f"Bằng chữ: {summary['totalAmountWithTaxInWords']}"
    yield 9, f"Mã tra cứu: {row.lookup_code}"


def _money(amount: int | Decimal) -> str:
    return f"{amount:,}".replace(",", ".")


def _body(row: Row) -> dict[str, Any]:
    return json.loads(row.body, parse_float=Decimal)


def _fill(parent: Xml.Element, tag: str, texts: dict[str, Any]) -> Xml.Element:
    element = Xml.SubElement(parent, tag)
    for name, text in texts.items():
        if text not in (None, ""):
            Xml.SubElement(element, name).text = str(text)
    return element


def _header(content: Xml.Element, row: Row, body: dict[str, Any]) -> None:
    general = body["generalInvoiceInfo"]
    header = _fill(
        content,
        "TTChung",
        {
            "PBan": "2.1.0",
            "THDon": TITLES.get(row.series.form, "Hóa đơn điện tử"),
            "KHMSHDon": row.series.form,
            "KHHDon": row.series.symbol,
            "SHDon": row.number,
            "NLap": row.issue_date.isoformat(),
            "DVTTe": general.get("currencyCode", "VND"),
            "HTToan": ", ".join(payment["paymentMethodName"] for payment in body.get("payments", ())),
            "MSTTCGP": PROVIDER_TAX_CODE,
        },
    )
    if original := general.get("originalInvoiceId"):
        _fill(
            header,
            "TTHDLQuan",
            {
                "TCHDon": RELATION.get(general["adjustmentType"], ""),
                "LHDCLQuan": "1",
                "KHMSHDCLQuan": general.get("originalInvoiceType"),
                "KHHDCLQuan": original[:6],
                "SHDCLQuan": original[6:],
                "NLHDCLQuan": _date(general.get("originalInvoiceIssueDate")),
                "GChu": general.get("adjustedNote"),
            },
        )


def _date(milliseconds: int | None) -> str:
    return "" if milliseconds is None else (EPOCH + timedelta(days=day_of(milliseconds))).isoformat()


def _buyer(inside: Xml.Element, buyer: dict[str, Any]) -> None:
    _fill(
        inside,
        "NMua",
        {
            "Ten": buyer.get("buyerLegalName"),
            "MST": buyer.get("buyerTaxCode"),
            "MDVQHNSach": buyer.get("buyerBudgetCode"),
            "CCCDan": buyer.get("buyerIdNo") if buyer.get("buyerIdType") == "1" else "",
            "DChi": buyer.get("buyerAddressLine"),
            "SDThoai": buyer.get("buyerPhoneNumber"),
            "HVTNMHang": buyer.get("buyerName"),
        },
    )


def _item(item: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    sign = 1 if item.get("isIncreaseItem", True) else -1
    yield "TChat", item.get("selection", 1)
    yield "STT", item["lineNumber"]
    yield "THHDVu", item["itemName"]
    yield "DVTinh", item.get("unitName")
    yield "SLuong", item["quantity"]
    yield "DGia", item["unitPrice"]
    yield "ThTien", sign * item["itemTotalAmountWithoutTax"]
    if "taxPercentage" in item:
        yield "TSuat", RATES[item["taxPercentage"]]


def _totals(inside: Xml.Element, body: dict[str, Any]) -> None:
    summary = body["summarizeInfo"]
    pay = Xml.SubElement(inside, "TToan")
    if rates := body.get("taxBreakdowns"):  # a sales invoice has none
        table = Xml.SubElement(pay, "THTTLTSuat")
        for rate in rates:
            net, tax = _signed(rate, "taxableAmount", "taxableAmountPos"), _signed(rate, "taxAmount", "taxAmountPos")
            _fill(table, "LTSuat", {"TSuat": RATES[rate["taxPercentage"]], "ThTien": net, "TThue": tax})
        Xml.SubElement(pay, "TgTCThue").text = str(_signed(summary, "totalAmountWithoutTax", "isTotalAmtWithoutTaxPos"))
        Xml.SubElement(pay, "TgTThue").text = str(_signed(summary, "totalTaxAmount", "isTotalTaxAmountPos"))
    Xml.SubElement(pay, "TgTTTBSo").text = str(_signed(summary, "totalAmountWithTax", "isTotalAmountPos"))
    Xml.SubElement(pay, "TgTTTBChu").text = summary["totalAmountWithTaxInWords"]


def _signed(fields: dict[str, Any], amount: str, flag: str) -> int | Decimal:
    return fields[amount] if fields.get(flag, True) else -fields[amount]
