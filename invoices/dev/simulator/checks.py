"""The vendor's known checks of a createInvoice body. Amounts are int or Decimal, never float."""

from decimal import Decimal
from typing import Any

from stdnum.vn import mst

from invoices.dev.simulator.answers import Refusal

Number = int | Decimal
TAXED = (5, 8, 10)


def find_refusal(body: dict[str, Any]) -> Refusal | None:
    """The first reason to refuse a createInvoice body. Raises KeyError or TypeError if it is malformed."""
    return _check_key(body["generalInvoiceInfo"]) or _check_buyer(body["buyerInfo"]) or _check_lines(body)


def _check_key(general: dict[str, Any]) -> Refusal | None:
    key = general.get("transactionUuid")
    if not key:
        return "TRANSACTION_UUID_REQUIRED", "Thiếu transactionUuid"
    if len(key) < 10:
        return "410", "transactionUuid ngắn hơn 10 ký tự"
    if len(key) > 36:
        return "412", "transactionUuid dài hơn 36 ký tự"
    return None


def _check_buyer(buyer: dict[str, Any]) -> Refusal | None:
    tax_code = buyer.get("buyerTaxCode")
    if tax_code and not ((len(tax_code) == 12 and tax_code.isdecimal()) or mst.is_valid(tax_code)):
        return "INVOICE_VALID_INPUT_INVALID_BUYER_TAX_CODE", f"Mã số thuế người mua '{tax_code}' không hợp lệ"
    phone = buyer.get("buyerPhoneNumber")
    if phone and not (phone.isdecimal() and len(phone) <= 15):
        return "BUYER_PHONE_NUMBER_INVALID", "Số điện thoại người mua không hợp lệ"
    return None


def _check_lines(body: dict[str, Any]) -> Refusal | None:
    """Codes 43, 44, 49 and 87, each with |difference| < 1 đồng. Amounts have no sign; a flag beside them carries it."""
    net: Number = 0
    tax: Number = 0
    for item in body["itemInfo"]:
        name = item.get("itemName")
        if not name:
            return "ITEM_NAME_NULL", "Tên hàng hóa, dịch vụ trống"
        if len(name) > 500:
            return "ITEM_NAME_INVALID", "Tên hàng hóa, dịch vụ quá dài"
        line, line_tax = item["itemTotalAmountWithoutTax"], item.get("taxAmount") or 0
        if abs(item["quantity"] * item["unitPrice"] - line) >= 1:
            return "43", "Thành tiền khác số lượng nhân đơn giá"
        rate = item.get("taxPercentage")
        due = (line - (item.get("itemDiscount") or 0)) * rate if rate in TAXED else 0
        if abs(due - line_tax * 100) >= 100:
            return "44", "Tiền thuế của dòng khác thành tiền nhân thuế suất"
        sign = 1 if item.get("isIncreaseItem", True) else -1
        net, tax = net + sign * line, tax + sign * line_tax
    return _check_totals(body, net, tax)


def _check_totals(body: dict[str, Any], net: Number, tax: Number) -> Refusal | None:
    summary = body["summarizeInfo"]
    sum_net, sum_tax, sum_total = (
        amount if summary.get(flag, True) else -amount
        for amount, flag in (
            (summary["totalAmountWithoutTax"], "isTotalAmtWithoutTaxPos"),
            (summary["totalTaxAmount"], "isTotalTaxAmountPos"),
            (summary["totalAmountWithTax"], "isTotalAmountPos"),
        )
    )
    if abs(tax - sum_tax) >= 1:
        return "49", "Tổng tiền thuế khác tổng tiền thuế các dòng"
    if abs(net - sum_net) >= 1 or abs(sum_net + sum_tax - sum_total) >= 1:
        return "87", "Tổng tiền khác tổng các dòng"
    rates = body.get("taxBreakdowns")
    if rates is not None:
        rate_tax = sum(one["taxAmount"] if one.get("taxAmountPos", True) else -one["taxAmount"] for one in rates)
        if abs(rate_tax - sum_tax) >= 1:
            return "49", "Tổng tiền thuế khác tổng tiền thuế theo thuế suất"
    return None
