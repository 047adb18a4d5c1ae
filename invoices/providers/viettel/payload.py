"""Document → the body of createInvoice. The same document always gives the same bytes.

Field names and lengths: reference/vn-providers.md section 2; arithmetic and rates: vn-einvoice-rules.md section 6.
"""

from datetime import date
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any

from config.base.clock import at_vn
from invoices.providers.base import Buyer, Document, Line, RateTotal

ADJUSTMENT_TYPE = {"original": "1", "replacement": "3", "adjustment": "5"}
TAX_PERCENTAGE = {"0%": 0, "5%": 5, "8%": 8, "10%": 10, "KKKNT": -1, "KCT": -2}
PAYMENT_METHOD = {"TM": "1", "CK": "2", "TM/CK": "3", "DTCN": "4"}
OTHER_PAYMENT = "5"
GOODS = 1


def build_payload(document: Document) -> dict[str, Any]:
    """The request as a tree of dict, list, str, bool, int and Decimal; amounts in đồng, times in epoch ms.

    The seller's details are left out: the vendor prints those registered with it. The buyer's e-mail is left out: the
    vendor would mail the buyer, which is our task.
    """
    adjusts = document.kind == "adjustment"
    body: dict[str, Any] = {
        "generalInvoiceInfo": _general(document),
        "buyerInfo": _buyer(document.buyer),
        "payments": [
            {
                "paymentMethod": PAYMENT_METHOD.get(document.payment_method, OTHER_PAYMENT),
                "paymentMethodName": document.payment_method,
            }
        ],
        "itemInfo": [_item(number, line, adjusts) for number, line in enumerate(document.lines, 1)],
        "summarizeInfo": _summary(document, adjusts),
    }
    if document.by_rate:  # a sales invoice (form 2) carries no tax lines
        body["taxBreakdowns"] = [_breakdown(rate, adjusts) for rate in document.by_rate]
    return body


def encode_json(value: Any) -> str:
    """JSON text in which a Decimal is a number with all its digits; json.dumps would need a float."""
    match value:
        case str():
            return encode_basestring(value)
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case Decimal():
            return format(value, "f")
        case dict():
            return (
                "{" + ",".join([f"{encode_basestring(key)}:{encode_json(item)}" for key, item in value.items()]) + "}"
            )
        case list():
            return "[" + ",".join([encode_json(item) for item in value]) + "]"
    raise TypeError(f"a payload cannot contain {type(value).__name__}")


def midnight(day: date) -> int:
    """00:00 of that day in Việt Nam, in epoch milliseconds: the vendor expects an instant, the law a day."""
    return int(at_vn(day).timestamp()) * 1000


def _general(document: Document) -> dict[str, Any]:
    general: dict[str, Any] = {
        "invoiceType": document.form,
        "templateCode": document.template,
        "invoiceSeries": document.symbol,
        "transactionUuid": document.reference,
        "currencyCode": document.currency,
        "invoiceIssuedDate": midnight(document.issue_date),
        "adjustmentType": ADJUSTMENT_TYPE[document.kind],
        "paymentStatus": True,
        "cusGetInvoiceRight": True,
        "validation": 1,  # let the vendor check our sums before it prints them
    }
    if related := document.relates_to:
        general |= {
            "originalInvoiceId": related.symbol + related.number,
            "originalInvoiceIssueDate": midnight(related.issue_date),
            "originalInvoiceType": related.form,
            # A correction has the form of the invoice that it corrects; we do not know the template of another form.
            "originalTemplateCode": document.template if related.form == document.form else f"{related.form}/001",
            "additionalReferenceDesc": related.reason[:225],
            "additionalReferenceDate": midnight(document.issue_date),
            "adjustedNote": related.reason[:255],
        }
    if document.kind == "adjustment":
        general["adjustmentInvoiceType"] = "1" if document.total or document.net else "2"  # money, or words only
    return general


def _buyer(buyer: Buyer) -> dict[str, Any]:
    digits = "".join(character for character in buyer.phone if character.isdecimal())
    if buyer.phone.lstrip().startswith("+84"):
        digits = "0" + digits[2:]
    texts = {
        "buyerName": buyer.name,
        "buyerLegalName": buyer.legal_name,
        "buyerTaxCode": buyer.tax_code,
        "buyerAddressLine": buyer.address,
        "buyerPhoneNumber": digits,
        "buyerIdType": ("1" if len(buyer.personal_id) == 12 and buyer.personal_id.isdecimal() else "3")
        if buyer.personal_id
        else "",
        "buyerIdNo": buyer.personal_id,
        "buyerBudgetCode": buyer.budget_code,
    }
    return {name: text for name, text in texts.items() if text} | {"buyerNotGetInvoice": int(buyer.is_consumer)}


def _item(number: int, line: Line, adjusts: bool) -> dict[str, Any]:
    item: dict[str, Any] = {"lineNumber": number, "selection": GOODS, "itemName": line.name}
    if line.unit:
        item["unitName"] = line.unit
    item |= {
        "unitPrice": abs(Decimal(line.unit_price)),
        "quantity": abs(Decimal(line.quantity)),
        "itemTotalAmountWithoutTax": abs(line.net),
        "itemTotalAmountAfterDiscount": abs(line.net),
        "itemTotalAmountWithTax": abs(line.gross),
        "discount": 0,
        "itemDiscount": 0,
    }
    if line.vat_rate:
        item |= {"taxPercentage": TAX_PERCENTAGE[line.vat_rate], "taxAmount": abs(line.vat)}
    if adjusts:  # amounts have no sign; a flag beside them carries it
        item |= {"isIncreaseItem": line.gross >= 0, "adjustmentTaxAmount": abs(line.vat)}
    return item


def _breakdown(rate: RateTotal, adjusts: bool) -> dict[str, Any]:
    tax: dict[str, Any] = {
        "taxPercentage": TAX_PERCENTAGE[rate.vat_rate],
        "taxableAmount": abs(rate.net),
        "taxAmount": abs(rate.vat),
    }
    if adjusts:
        tax |= {"taxableAmountPos": rate.net >= 0, "taxAmountPos": rate.vat >= 0}
    return tax


def _summary(document: Document, adjusts: bool) -> dict[str, Any]:
    summary: dict[str, Any] = {
        "sumOfTotalLineAmountWithoutTax": abs(document.net),
        "totalAmountAfterDiscount": abs(document.net),
        "totalAmountWithoutTax": abs(document.net),
        "totalTaxAmount": abs(document.vat),
        "totalAmountWithTax": abs(document.total),
        "totalAmountWithTaxInWords": document.in_words,
        "discountAmount": 0,
    }
    if adjusts:
        summary |= {
            "isTotalAmountPos": document.total >= 0,
            "isTotalTaxAmountPos": document.vat >= 0,
            "isTotalAmtWithoutTaxPos": document.net >= 0,
        }
    return summary
