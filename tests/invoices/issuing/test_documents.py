"""The buyer as it is printed."""

from typing import Any

import pytest

from invoices.issuing.documents import printed_buyer
from invoices.providers.base import Buyer
from tests import cast

SALON = "Công ty TNHH Tóc Mây"


@pytest.mark.parametrize(
    ("details", "name", "legal_name"),
    [
        ({}, "Bán cho người tiêu dùng", ""),
        ({"kind": "individual", "name": "Lý Thị Đào"}, "Lý Thị Đào", ""),
        ({"kind": "individual", "name": "Lý Thị Đào", "legalName": SALON}, "Lý Thị Đào", ""),
        ({"kind": "company", "name": "Lý Thị Đào", "legalName": SALON}, "Lý Thị Đào", SALON),
        ({"kind": "company", "name": SALON, "legalName": SALON}, "", SALON),
        ({"kind": "company", "name": SALON}, "", SALON),
        ({"kind": "budget_unit", "name": "Trường Tiểu học Hoa Sen"}, "", "Trường Tiểu học Hoa Sen"),
    ],
)
def test_a_person_or_an_organisation_is_named_and_no_name_is_printed_twice(
    details: dict[str, Any], name: str, legal_name: str
) -> None:
    buyer = printed_buyer(details, "Bán cho người tiêu dùng")
    assert (buyer.name, buyer.legal_name) == (name, legal_name)
    assert buyer.is_consumer is (details == {})


def test_identifiers_of_a_buyer_are_printed_as_given() -> None:
    assert printed_buyer(cast.COMPANY, "").tax_code == cast.COMPANY["taxCode"]
    assert isinstance(printed_buyer(cast.PERSON, ""), Buyer)
