import ast
import json
import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invoices.opening.money import RATES, Bill, DoesNotAddUp, SoldLine, half_up, settle, spread

ROOT = Path(__file__).parents[3]


def sold(price, *, quantity=1, rate="10%", discount=0, name="Trà đào"):
    return SoldLine(name=name, quantity=Decimal(quantity), unit_price=Decimal(price), vat_rate=rate, discount=discount)


def bill(*lines, total, form="1", included=True, discount=0):
    return settle(lines, form=form, prices_include_vat=included, discount=discount, total=total)


def refusal(*lines, **keywords):
    with pytest.raises(DoesNotAddUp) as refused:
        bill(*lines, **keywords)
    return refused.value


# --- vectors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gross", "rate", "net", "vat"),
    [
        (110_000, "10%", 100_000, 10_000),
        (35_000, "8%", 32_407, 2_593),  # 32407.407…
        (99_999, "10%", 90_908, 9_091),  # 90908.18
        (100_000, "5%", 95_238, 4_762),
        (100_000, "0%", 100_000, 0),
        (100_000, "KCT", 100_000, 0),
        (100_000, "KKKNT", 100_000, 0),
        (1, "10%", 1, 0),
        (0, "10%", 0, 0),
    ],
)
def test_a_price_with_vat_splits_into_a_half_up_net_and_the_rest(gross, rate, net, vat):
    made = bill(sold(gross, rate=rate), total=gross)
    assert (made.net, made.vat, made.total) == (net, vat, gross)


def test_half_a_dong_rounds_up():
    assert [half_up(n, 2) for n in (0, 1, 2, 3)] == [0, 1, 1, 2]
    assert bill(sold("0.5"), total=1).total == 1
    assert bill(sold("1.25", quantity="0.4"), total=1).total == 1


def test_products_beyond_the_decimal_contexts_precision_stay_exact():
    line = sold("99999999999.9999", quantity="9999.9999", rate="KCT")
    exact = half_up(999999999999999 * 99999999, 10**8)
    assert bill(line, total=exact).total == exact


def test_the_order_discount_is_spread_by_largest_remainder_and_a_tie_goes_to_the_earlier_line():
    assert spread(2, [1, 1, 1]) == [1, 1, 0]
    assert spread(100, [30_000, 50_000, 20_000]) == [30, 50, 20]
    assert spread(1, [1, 3]) == [0, 1]
    assert spread(0, [0, 0]) == [0, 0]
    made = bill(sold(10_000), sold(10_000), sold(10_000), discount=1_000, total=29_000)
    assert [10_000 - line.gross for line in made.lines] == [334, 333, 333]


def test_prices_without_vat_meet_any_total_between_the_floors_and_the_ceilings():
    lines = [sold(99, rate="10%"), sold(55, rate="10%"), sold(33, rate="5%")]  # VAT 9.9, 5.5, 1.65
    vats = {total: [line.vat for line in bill(*lines, included=False, total=total).lines] for total in range(202, 206)}
    assert vats == {202: [9, 5, 1], 203: [10, 5, 1], 204: [10, 5, 2], 205: [10, 6, 2]}
    for total, away in ((201, "1 đồng too little"), (206, "1 đồng too much")):
        refused = refusal(*lines, included=False, total=total)
        assert refused.field == "total"
        assert "between 202 đồng and 205 đồng" in refused.message
        assert refused.message.endswith(away)


def test_vat_that_is_whole_leaves_no_choice_of_total():
    assert bill(sold(100_000), included=False, total=110_000).vat == 10_000
    assert refusal(sold(100_000), included=False, total=110_001).field == "total"


def test_without_vat_in_the_prices_the_order_discount_lowers_the_net():
    lines = [sold(100_000), sold(50_000, rate="5%")]
    made = bill(*lines, included=False, discount=15_000, total=135_000 + 9_000 + 2_250)
    assert [line.net for line in made.lines] == [90_000, 45_000]
    assert [line.vat for line in made.lines] == [9_000, 2_250]


def test_rates_without_vat_are_totalled_apart_from_each_other():
    lines = [sold(1_000, rate=rate) for rate in ("KKKNT", "0%", "KCT", "10%", "0%")]
    made = bill(*lines, total=5_000)
    assert [(r.vat_rate, r.net, r.vat) for r in made.by_rate] == [
        ("0%", 2_000, 0),
        ("10%", 909, 91),
        ("KCT", 1_000, 0),
        ("KKKNT", 1_000, 0),
    ]


@pytest.mark.parametrize("form", ["2", "9"])
@pytest.mark.parametrize("included", [True, False])
def test_a_sales_invoice_has_no_vat_whatever_the_lines_say(form, included):
    made = bill(
        sold(35_000, rate="8%"), sold(7_000, rate=""), form=form, included=included, discount=2_000, total=40_000
    )
    assert (made.net, made.vat, made.total, made.by_rate) == (40_000, 0, 40_000, ())
    assert all(line.vat_rate == "" and line.vat == 0 and line.net == line.gross for line in made.lines)


def test_a_vat_invoice_needs_a_rate_on_each_line():
    refused = refusal(sold(1), sold(1, rate=""), total=2)
    assert refused.field == "lines[1].vatRate"
    assert "line 2" in refused.message


def test_the_error_of_a_wrong_total_names_the_difference():
    refused = refusal(sold(35_000), sold(1_200_000), total=1_234_000)
    assert refused.field == "total"
    assert refused.message == "the lines come to 1.235.000 đồng, the total says 1.234.000 đồng: 1.000 đồng too little"


def test_a_discount_above_what_it_lowers_does_not_add_up():
    assert refusal(sold(1_000, discount=1_001), total=0).field == "lines[0].discount"
    assert refusal(sold(1_000), sold(500), discount=1_501, total=0).field == "discount"
    assert bill(sold(1_000, discount=1_000), total=0).total == 0
    assert bill(sold(1_000), sold(500), discount=1_500, total=0).total == 0


@pytest.mark.parametrize("odd", [True, 1.0, "1", Decimal(1), None, -1, 10**15])
def test_only_a_plain_int_is_an_amount_in_dong(odd):
    assert refusal(sold(1), total=odd).field == "total"
    assert refusal(sold(1), total=1, discount=odd).field == "discount"


@pytest.mark.parametrize(
    ("quantity", "price", "sent"),
    [
        ("3", "11000", ("3", "10000")),
        ("1.50", "22000", ("1.5", "20000")),
        ("3", "3667", ("3", "3333.666667")),
        ("0.0003", "11000", ("0.0003", "10000")),  # 3.3 đồng: gross 3, net 3
        ("3000001", "0.3667", ("1", "1000091")),  # six decimals are too coarse for three million pieces
    ],
)
def test_the_unit_price_sent_is_the_net_by_the_quantity(quantity, price, sent):
    amount = half_up(int(Decimal(quantity) * Decimal(price) * 10**4), 10**4)
    line = bill(sold(price, quantity=quantity), total=amount).lines[0]
    assert (line.quantity, line.unit_price) == sent


# --- properties ----------------------------------------------------------------------------------------------------

numbers = st.decimals(min_value=Decimal("0.0001"), max_value=Decimal(5_000_000), places=4)
prices = st.one_of(st.integers(0, 50_000_000).map(Decimal), numbers)
quantities = st.one_of(st.integers(1, 1_000).map(Decimal), numbers)


@st.composite
def orders(draw):
    """(lines, the order's discount); no discount exceeds its amount."""
    lines, left = [], 0
    for _ in range(draw(st.integers(1, 6))):
        quantity, price = draw(quantities), draw(prices)
        amount = half_up(int(quantity * 10**4) * int(price * 10**4), 10**8)
        discount = draw(st.one_of(st.just(0), st.integers(0, amount)))
        rate = draw(st.sampled_from(sorted(RATES)))
        lines.append(sold(price, quantity=quantity, rate=rate, discount=discount))
        left += amount - discount
    return lines, draw(st.one_of(st.just(0), st.integers(0, left))), left


def assert_sound(made: Bill, total: int) -> None:
    assert made.total == total == made.net + made.vat == sum(line.gross for line in made.lines)
    assert made.net == sum(line.net for line in made.lines)
    assert made.vat == sum(line.vat for line in made.lines)
    assert sum(r.net for r in made.by_rate) == (made.net if made.by_rate else 0)
    assert sum(r.vat for r in made.by_rate) == made.vat
    for line in made.lines:
        assert line.gross == line.net + line.vat
        assert min(line.net, line.vat) >= 0
        assert all(type(amount) is int for amount in (line.net, line.vat, line.gross))
        assert re.fullmatch(r"\d+(\.\d{1,4})?", line.quantity)
        assert re.fullmatch(r"\d+(\.\d{1,6})?", line.unit_price)
        assert abs(Fraction(line.quantity) * Fraction(line.unit_price) - line.net) < 1
        if RATES.get(line.vat_rate, 0) == 0:
            assert line.vat == 0
    assert Bill.from_json(json.loads(json.dumps(made.to_json()))) == made


@settings(max_examples=300, deadline=None)
@given(orders())
def test_prices_with_vat_always_settle_and_each_net_is_within_half_a_dong(order):
    lines, discount, amount = order
    made = bill(*lines, discount=discount, total=amount - discount)
    assert_sound(made, amount - discount)
    for line in made.lines:
        assert abs(Fraction(line.gross * 100, 100 + RATES[line.vat_rate]) - line.net) <= Fraction(1, 2)


@settings(max_examples=300, deadline=None)
@given(orders(), st.data())
def test_prices_without_vat_settle_for_exactly_the_totals_in_reach(order, data):
    lines, discount, amount = order
    nets = [line.net for line in bill(*lines, form="2", discount=discount, total=amount - discount).lines]
    exact = [Fraction(net * RATES[line.vat_rate], 100) for net, line in zip(nets, lines, strict=True)]
    least, most = sum(nets) + sum(int(vat) for vat in exact), sum(nets) + sum(-int(-vat // 1) for vat in exact)
    total = data.draw(st.integers(least, most))
    made = bill(*lines, included=False, discount=discount, total=total)
    assert_sound(made, total)
    assert [line.net for line in made.lines] == nets
    up = [vat % 1 for line, vat in zip(made.lines, exact, strict=True) if line.vat > vat]
    down = [vat % 1 for line, vat in zip(made.lines, exact, strict=True) if line.vat < vat]
    assert all(abs(line.vat - vat) < 1 for line, vat in zip(made.lines, exact, strict=True))
    assert not up or not down or min(up) >= max(down)
    for outside in (least - 1, most + 1):
        if outside >= 0:
            assert refusal(*lines, included=False, discount=discount, total=outside).field == "total"


@settings(max_examples=200, deadline=None)
@given(orders())
def test_a_sales_invoice_always_settles(order):
    lines, discount, amount = order
    assert_sound(bill(*lines, form="2", discount=discount, total=amount - discount), amount - discount)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=8), st.data())
def test_each_share_is_within_a_dong_of_its_due_and_never_above_its_weight(weights, data):
    amount = data.draw(st.integers(0, sum(weights)))
    shares = spread(amount, weights)
    assert sum(shares) == amount
    for share, weight in zip(shares, weights, strict=True):
        assert 0 <= share <= weight
        assert abs(share * sum(weights) - amount * weight) < sum(weights) or amount == 0


@settings(max_examples=200, deadline=None)
@given(orders(), st.randoms(use_true_random=False))
def test_the_order_of_lines_moves_at_most_one_dong_between_ties(order, random):
    lines, discount, amount = order
    places = list(range(len(lines)))
    random.shuffle(places)
    there = bill(*lines, discount=discount, total=amount - discount).lines
    moved = bill(*(lines[place] for place in places), discount=discount, total=amount - discount).lines
    for place, line in zip(places, moved, strict=True):
        assert abs(line.gross - there[place].gross) <= 1
    dues = [_due(line, discount, amount) % 1 for line in lines]
    if len(set(dues)) == len(dues):  # no two remainders tie
        assert [there[place] for place in places] == list(moved)


def _due(line: SoldLine, discount: int, amount: int) -> Fraction:
    own = half_up(int(line.quantity * 10**4) * int(line.unit_price * 10**4), 10**8) - line.discount
    return Fraction(discount * own, amount or 1)


def test_no_binary_fraction_is_made_where_money_is_counted():
    room = ROOT / "invoices"
    files = [room / "opening" / "money.py", room / "opening" / "words.py", room / "issuing" / "documents.py"]
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), f"{file.name}:{node.lineno}"
            assert not (isinstance(node, ast.Name) and node.id in ("float", "round")), f"{file.name}:{node.lineno}"
            if file.name == "money.py":
                assert not isinstance(node, ast.Div), "a true division of ints is a float"
