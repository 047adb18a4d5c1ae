"""Differences between the provider's invoice and ours."""

import itertools
from dataclasses import replace
from typing import Any

from invoices.issuing.decide.conflicts import mismatch
from invoices.providers.base import Buyer, Found
from tests.invoices.issuing.decide.rows import DAY, DOCUMENT

FOUND = Found(number="7", symbol=DOCUMENT.symbol)
OUR_DOCUMENT = replace(DOCUMENT, buyer=Buyer(legal_name="Hoa Sen", tax_code="0100109106"))
FIELDS: dict[str, tuple[str, Any, list[Any]]] = {  # its name, our value, other values
    "symbol": ("symbol", DOCUMENT.symbol, ["C26TBB", "K26TAA", ""]),
    "issued_on": ("issue date", DOCUMENT.issue_date, [DOCUMENT.issue_date + DAY, DOCUMENT.issue_date - DAY]),
    "seller_tax_code": ("seller tax code", DOCUMENT.seller.tax_code, ["0319999997", ""]),
    "buyer_tax_code": ("buyer tax code", "0100109106", ["0100109107", ""]),
    "total": ("total", DOCUMENT.total, [DOCUMENT.total - 1, DOCUMENT.total + 1, 0]),
}


def test_each_field_that_is_reported_must_be_ours_and_one_that_is_not_reported_never_differs() -> None:
    choices = [
        [(field, value, False) for value in ([ours] if field == "symbol" else [None, ours])]
        + [(field, value, True) for value in different]
        for field, (_, ours, different) in FIELDS.items()
    ]
    for fields in itertools.product(*choices):
        found = replace(FOUND, **{field: value for field, value, _ in fields})
        wrong = [FIELDS[field][0] for field, _, differs in fields if differs]
        assert mismatch(found, OUR_DOCUMENT) == (wrong[0] if wrong else ""), found


def test_number_codes_and_verdict_are_not_compared_with_the_document() -> None:
    found = replace(FOUND, number="99", code="00A1", lookup_code="K7", rejected="no")
    assert mismatch(found, OUR_DOCUMENT) == ""
