import json
from decimal import Decimal

import pytest

from invoices.opening.money import DoesNotAddUp, parse_lines


def refusal(lines):
    with pytest.raises(DoesNotAddUp) as refused:
        parse_lines(lines)
    return refused.value


def raw(**changes):
    return {"name": "Trà đào", "unit": "ly", "quantity": 1, "unitPrice": 35000, "vatRate": "8%"} | changes


def test_lines_are_read_from_json_with_exact_decimals():
    first = '{"name": "Trà", "quantity": 1.5, "unitPrice": "35000.25", "vatRate": "8%", "discount": 500}'
    second = '{"name": "Phí", "quantity": "2", "unitPrice": 7}'
    tea, fee = parse_lines(json.loads(f"[{first}, {second}]", parse_float=Decimal))
    assert (tea.quantity, tea.unit_price) == (Decimal("1.5"), Decimal("35000.25"))
    assert (tea.vat_rate, tea.discount) == ("8%", 500)
    assert (fee.unit, fee.quantity, fee.unit_price, fee.vat_rate, fee.discount) == ("", 2, 7, "", 0)


def test_names_lose_control_and_invisible_characters_and_become_nfc():
    (line,) = parse_lines([raw(name=" Tra\u0300\u0000 \n\u202eđào\ud800\u200b ", unit="ly\t")])
    assert (line.name, line.unit) == ("Trà đào", "ly")


@pytest.mark.parametrize("field", ["quantity", "unitPrice"])
@pytest.mark.parametrize(
    "odd",
    [
        *(True, None, 1.5, [], {}, -1, 10**15),
        *("", " 1", "-1", "1,5", "1_000", "١", "1e3", "0x1", "1.", "1.00001", "NaN", "Infinity", "1" * 16),
        *(Decimal("NaN"), Decimal("Infinity"), Decimal("-0.1"), Decimal("1E+3"), Decimal("1E-5")),
    ],
)
def test_anything_but_a_plain_number_is_refused(field, odd):
    refused = refusal([raw(), raw(**{field: odd})])
    assert refused.field == f"lines[1].{field}"
    assert refused.message.startswith("line 2: ")


@pytest.mark.parametrize("zeros", ["1.50000000", Decimal("1.50000000")])
def test_trailing_zeros_do_not_count_as_decimals(zeros):
    assert parse_lines([raw(quantity=zeros)])[0].quantity == Decimal("1.5")


@pytest.mark.parametrize(
    ("field", "odd"),
    [
        *(("name", odd) for odd in (None, "", " \n", 7, "x" * 501)),
        *(("unit", odd) for odd in (7, "x" * 51)),
        *(("vatRate", odd) for odd in ("8", 8, "", "7%", [], {})),
        *(("discount", odd) for odd in (True, False, 1.0, Decimal(1), -1, 10**15, "", "5")),
        ("quantity", 0),
    ],
)
def test_the_refused_field_is_named_by_its_path(field, odd):
    assert refusal([raw(**{field: odd})]).field == f"lines[0].{field}"


def test_lines_must_be_a_list_of_objects():
    assert [refusal(odd).field for odd in (None, {}, [], ["x"])] == ["lines", "lines", "lines", "lines[0]"]
