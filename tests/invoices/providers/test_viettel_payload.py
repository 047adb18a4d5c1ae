"""Document → bytes: exact, and always the same."""

import json
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoices.providers.base import Buyer, Line, RateTotal, Related
from invoices.providers.viettel.payload import build_payload, encode_json, midnight
from tests.invoices.providers.wire import document


def test_the_same_document_gives_the_same_bytes() -> None:
    day = date(2026, 11, 23)
    text = encode_json(build_payload(document(issue_date=day)))
    assert text == encode_json(build_payload(document(issue_date=day)))
    assert '"unitPrice":33333.333333,"quantity":3,' in text, "a decimal keeps its digits"


TREES = st.recursive(
    st.text() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False, places=6),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(TREES)
def test_our_json_reads_back_as_what_was_written(tree: object) -> None:
    assert json.loads(encode_json(tree), parse_float=Decimal) == tree


def test_a_float_is_not_written() -> None:
    with pytest.raises(TypeError):
        encode_json({"unitPrice": 0.1})


def test_a_day_is_its_midnight_in_viet_nam() -> None:
    assert midnight(date(2026, 11, 23)) == 1795366800000  # 2026-11-22T17:00:00Z


@pytest.mark.parametrize(
    ("buyer", "expected"),
    [
        (
            Buyer(name="Bán cho người tiêu dùng", is_consumer=True),
            {"buyerName": "Bán cho người tiêu dùng", "buyerNotGetInvoice": 1},
        ),
        (
            Buyer(name="Nguyễn Thị Hậu", personal_id="001199000001", phone="+84 912-345.678", email="h@example.vn"),
            {
                "buyerName": "Nguyễn Thị Hậu",
                "buyerPhoneNumber": "0912345678",
                "buyerIdType": "1",
                "buyerIdNo": "001199000001",
                "buyerNotGetInvoice": 0,
            },
        ),
        (
            Buyer(legal_name="Công ty Ậm Ừ", tax_code="0318888884", address="Huế", phone="(024) 3 825 0001"),
            {
                "buyerLegalName": "Công ty Ậm Ừ",
                "buyerTaxCode": "0318888884",
                "buyerAddressLine": "Huế",
                "buyerPhoneNumber": "02438250001",
                "buyerNotGetInvoice": 0,
            },
        ),
        (
            Buyer(legal_name="Trường Mẫu", budget_code="1234567", name="Trần Văn Ước", personal_id="P0001112"),
            {
                "buyerName": "Trần Văn Ước",
                "buyerLegalName": "Trường Mẫu",
                "buyerIdType": "3",
                "buyerIdNo": "P0001112",
                "buyerBudgetCode": "1234567",
                "buyerNotGetInvoice": 0,
            },
        ),
    ],
    ids=["consumer", "person", "company", "budget unit"],
)
def test_a_buyers_name_is_sent_once_and_no_e_mail(buyer: Buyer, expected: dict[str, object]) -> None:
    assert build_payload(document(buyer=buyer))["buyerInfo"] == expected


def test_a_sales_invoice_carries_no_tax() -> None:
    line = Line(name="Phở", unit="bát", quantity="2", unit_price="50000", vat_rate="", net=100000, vat=0, gross=100000)
    body = build_payload(
        document(
            form="2", template="2/001", symbol="C26TBB", lines=(line,), by_rate=(), net=100000, vat=0, total=100000
        )
    )
    assert "taxBreakdowns" not in body
    assert not {"taxPercentage", "taxAmount"} & body["itemInfo"][0].keys()
    assert body["summarizeInfo"]["totalAmountWithTax"] == 100000


@pytest.mark.parametrize(("rate", "percentage"), [("0%", 0), ("5%", 5), ("KKKNT", -1), ("KCT", -2)])
def test_vat_rates_have_the_vendors_numbers(rate: str, percentage: int) -> None:
    line = Line(name="Sách", unit="", quantity="1", unit_price="100", vat_rate=rate, net=100, vat=0, gross=100)
    body = build_payload(document(lines=(line,), by_rate=(RateTotal(vat_rate=rate, net=100, vat=0),)))
    assert body["itemInfo"][0]["taxPercentage"] == body["taxBreakdowns"][0]["taxPercentage"] == percentage


ORIGINAL = Related(
    form="1", symbol="C26TAA", number="12", issue_date=date(2026, 11, 20), reason="Sai mã số thuế người mua"
)


def test_a_replacement_names_what_it_replaces() -> None:
    body = build_payload(document(kind="replacement", relates_to=ORIGINAL))
    general = body["generalInvoiceInfo"]
    assert general["adjustmentType"] == "3"
    assert general["originalInvoiceId"] == "C26TAA12"
    assert general["originalInvoiceIssueDate"] == midnight(date(2026, 11, 20))
    assert (general["originalInvoiceType"], general["originalTemplateCode"]) == ("1", "1/001")
    assert general["adjustedNote"] == "Sai mã số thuế người mua"
    assert "isIncreaseItem" not in body["itemInfo"][0]


def test_an_adjustment_downwards_has_its_sign_beside_the_amounts() -> None:
    line = Line(
        name="Trả lại", unit="cái", quantity="-1", unit_price="10000", vat_rate="8%", net=-10000, vat=-800, gross=-10800
    )
    body = build_payload(
        document(
            kind="adjustment",
            relates_to=ORIGINAL,
            lines=(line,),
            by_rate=(RateTotal(vat_rate="8%", net=-10000, vat=-800),),
            net=-10000,
            vat=-800,
            total=-10800,
        )
    )
    assert (body["generalInvoiceInfo"]["adjustmentType"], body["generalInvoiceInfo"]["adjustmentInvoiceType"]) == (
        "5",
        "1",
    )
    item, tax, summary = body["itemInfo"][0], body["taxBreakdowns"][0], body["summarizeInfo"]
    assert (item["isIncreaseItem"], item["itemTotalAmountWithoutTax"], item["quantity"]) == (False, 10000, 1)
    assert (tax["taxableAmountPos"], tax["taxAmount"]) == (False, 800)
    assert (summary["isTotalAmountPos"], summary["totalAmountWithTax"]) == (False, 10800)
