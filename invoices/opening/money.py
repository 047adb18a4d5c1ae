"""Exact arithmetic in đồng: from the sold lines to the invoice's amounts. See "Money" in the contract.

Amounts are whole đồng (int); quantities and unit prices are Decimal. Every division is one of integers,
so neither binary fractions nor the decimal context's precision can change an amount.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, NoReturn, Self

from invoices.opening.words import in_words
from invoices.providers.base import Line, RateTotal

__all__ = ["Bill", "DoesNotAddUp", "SoldLine", "in_words", "parse_lines", "settle"]

# Percent by the name that is printed; the order is that of the totals per rate. KCT (exempt) and KKKNT (not declared)
# bear no VAT but are not 0 %: tax returns list the three apart.
RATES = {"0%": 0, "5%": 5, "8%": 8, "10%": 10, "KCT": 0, "KKKNT": 0}
SALES_FORMS = frozenset("29")  # sales invoices of the direct method, alone and with a fee receipt: no VAT lines
LIMIT = 10**15  # the official XML holds fifteen digits before the point

NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,4}0*)?")  # no sign, no exponent, no NaN; trailing zeros are allowed
# Format, unassigned and surrogate characters: invisible on paper, and XML or UTF-8 refuses some of them.
UNSENDABLE = ("Cf", "Cn", "Cs")


class DoesNotAddUp(ValueError):
    """The sale cannot be put on an invoice. `field` is a JSON path of the contract, `message` is for people."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field, self.message = field, message


@dataclass(frozen=True, slots=True, kw_only=True)
class SoldLine:
    """One line as it was sold. The sale says whether its prices include VAT."""

    name: str
    unit: str = ""
    quantity: Decimal
    unit_price: Decimal
    vat_rate: str = ""  # a key of RATES, or ""
    discount: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """The money of one invoice: `total` = `net` + `vat` = the lines' gross; `by_rate` is empty on a sales form."""

    lines: tuple[Line, ...]
    by_rate: tuple[RateTotal, ...]
    net: int
    vat: int
    total: int

    def to_json(self) -> dict[str, Any]:
        """Decimals as texts, đồng as ints, with this module's field names."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        lines = tuple(Line(**line) for line in stored["lines"])
        by_rate = tuple(RateTotal(**rate) for rate in stored["by_rate"])
        return cls(lines=lines, by_rate=by_rate, net=stored["net"], vat=stored["vat"], total=stored["total"])


def parse_lines(raw: Any) -> tuple[SoldLine, ...]:
    """The contract's `lines`, from JSON read with `parse_float=Decimal`. Raises DoesNotAddUp with the field."""
    if not isinstance(raw, list) or not raw:
        raise DoesNotAddUp("lines", "expected a list of at least one line")
    return tuple(_parse_line(line, f"lines[{index}]", f"line {index + 1}") for index, line in enumerate(raw))


def settle(lines: Sequence[SoldLine], *, form: str, prices_include_vat: bool, discount: int, total: int) -> Bill:
    """The amounts of each line, each rate and the whole. `discount` (of the order) and `total` in đồng.

    The order's discount includes VAT if the prices do; `total` is the amount that the buyer owes, VAT included.
    Raises DoesNotAddUp if no split into whole đồng meets `total`.
    """
    discount, total = _dong(discount, "discount", "the order"), _dong(total, "total", "the order")
    amounts = [_amount(line, index) for index, line in enumerate(lines)]
    if discount > sum(amounts):
        excess = _format(discount - sum(amounts))
        raise DoesNotAddUp("discount", f"the lines come to {_format(sum(amounts))}, the discount is {excess} more")
    owed = [amount - share for amount, share in zip(amounts, spread(discount, amounts), strict=True)]

    if form in SALES_FORMS:
        _check_total(total, sum(owed), sum(owed))
        return _bill(lines, [""] * len(lines), owed, [0] * len(lines), total)

    for index, line in enumerate(lines):
        if line.vat_rate not in RATES:
            missing = f"line {index + 1} needs a VAT rate on an invoice of form {form}"
            raise DoesNotAddUp(f"lines[{index}].vatRate", missing)
    rates = [RATES[line.vat_rate] for line in lines]
    if prices_include_vat:
        _check_total(total, sum(owed), sum(owed))
        nets = [half_up(gross * 100, 100 + rate) for gross, rate in zip(owed, rates, strict=True)]
        vats = [gross - net for gross, net in zip(owed, nets, strict=True)]
    else:
        nets, vats = owed, _vat_meeting(total, owed, rates)
    return _bill(lines, [line.vat_rate for line in lines], nets, vats, total)


def half_up(numerator: int, denominator: int) -> int:
    """The quotient of two non-negative integers, with halves rounded up."""
    return (2 * numerator + denominator) // (2 * denominator)


def spread(amount: int, weights: Sequence[int]) -> list[int]:
    """Split `amount` in proportion to `weights` by largest remainder; ties go to the earlier.

    No share exceeds its weight.
    """
    if not amount:
        return [0] * len(weights)
    whole = sum(weights)
    floors = [amount * weight // whole for weight in weights]
    return _raise_largest(floors, [amount * weight % whole for weight in weights], amount - sum(floors))


def _vat_meeting(total: int, nets: Sequence[int], rates: Sequence[int]) -> list[int]:
    """Each line's VAT, the floor or the ceiling of net x rate / 100, so that the sum is `total`."""
    hundredths = [net * rate for net, rate in zip(nets, rates, strict=True)]
    floors, remainders = [vat // 100 for vat in hundredths], [vat % 100 for vat in hundredths]
    least = sum(nets) + sum(floors)
    _check_total(total, least, least + sum(remainder > 0 for remainder in remainders))
    return _raise_largest(floors, remainders, total - least)


def _raise_largest(floors: Sequence[int], remainders: Sequence[int], count: int) -> list[int]:
    """Add one đồng for each of the `count` largest remainders; ties go to the earlier."""
    ranked = sorted(range(len(floors)), key=lambda index: (-remainders[index], index))
    chosen = set(ranked[:count])
    return [floor + (index in chosen) for index, floor in enumerate(floors)]


def _bill(
    lines: Sequence[SoldLine], rates: Sequence[str], nets: Sequence[int], vats: Sequence[int], total: int
) -> Bill:
    printed = tuple(_printed(*parts) for parts in zip(lines, rates, nets, vats, strict=True))
    by_rate = tuple(
        _rate_total(rate, [line for line in printed if line.vat_rate == rate]) for rate in RATES if rate in rates
    )
    return Bill(lines=printed, by_rate=by_rate, net=sum(nets), vat=sum(vats), total=total)


def _rate_total(rate: str, lines: Sequence[Line]) -> RateTotal:
    return RateTotal(vat_rate=rate, net=sum(line.net for line in lines), vat=sum(line.vat for line in lines))


def _printed(line: SoldLine, rate: str, net: int, vat: int) -> Line:
    quantity, price = _quantity_and_price(line.quantity, net)
    return Line(
        name=line.name,
        unit=line.unit,
        quantity=quantity,
        unit_price=price,
        vat_rate=rate,
        net=net,
        vat=vat,
        gross=net + vat,
    )


def _quantity_and_price(quantity: Decimal, net: int) -> tuple[str, str]:
    """The texts to send. Vendors refuse |quantity x price - net| >= 1, so the price is computed from the net."""
    parts, whole = quantity.as_integer_ratio()
    millionths = half_up(net * 10**6 * whole, parts)
    if abs(parts * millionths - net * 10**6 * whole) >= 10**6 * whole:
        return "1", str(net)  # from about two million pieces on six decimals are not enough
    return _text(quantity), _text(Decimal(millionths).scaleb(-6))


def _text(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _amount(line: SoldLine, index: int) -> int:
    (parts, whole), (price, unit) = line.quantity.as_integer_ratio(), line.unit_price.as_integer_ratio()
    amount = half_up(parts * price, whole * unit)
    if line.discount > amount:
        over = f"line {index + 1} comes to {_format(amount)}, its discount is {_format(line.discount - amount)} more"
        raise DoesNotAddUp(f"lines[{index}].discount", over)
    return amount - line.discount


def _check_total(total: int, least: int, most: int) -> None:
    if least <= total <= most:
        return
    expected = _format(least) if least == most else f"between {_format(least)} and {_format(most)}"
    away = f"{_format(least - total)} too little" if total < least else f"{_format(total - most)} too much"
    raise DoesNotAddUp("total", f"the lines come to {expected}, the total says {_format(total)}: {away}")


def _parse_line(raw: Any, path: str, who: str) -> SoldLine:
    if not isinstance(raw, dict):
        raise DoesNotAddUp(path, f"{who}: expected an object")
    rate = raw.get("vatRate")
    if rate is not None and rate not in tuple(RATES):
        raise DoesNotAddUp(f"{path}.vatRate", f"{who}: the VAT rate is one of {', '.join(RATES)}")
    quantity = _number(raw.get("quantity"), f"{path}.quantity", f"{who}: the quantity")
    if not quantity:
        raise DoesNotAddUp(f"{path}.quantity", f"{who}: the quantity must be more than 0")
    name = _plain_text(raw.get("name"), 500, f"{path}.name", f"{who}: the name")
    if not name:
        raise DoesNotAddUp(f"{path}.name", f"{who} has no name")
    return SoldLine(
        name=name,
        unit=_plain_text(raw.get("unit"), 50, f"{path}.unit", f"{who}: the unit"),
        quantity=quantity,
        unit_price=_number(raw.get("unitPrice"), f"{path}.unitPrice", f"{who}: the unit price"),
        vat_rate=rate or "",
        discount=_dong(0 if raw.get("discount") is None else raw["discount"], f"{path}.discount", who),
    )


def _number(value: Any, path: str, what: str) -> Decimal:
    if type(value) is int and 0 <= value < LIMIT:
        return Decimal(value)
    if isinstance(value, str | Decimal) and NUMBER.fullmatch(str(value)):
        return Decimal(value)
    _refuse(path, f"{what} must be a plain number from 0, with at most 15 digits and 4 decimals", value)


def _dong(value: Any, path: str, who: str) -> int:
    if type(value) is int and 0 <= value < LIMIT:
        return value
    _refuse(path, f"{who}: the {path.rpartition('.')[2]} must be whole đồng from 0, with at most 15 digits", value)


def _refuse(path: str, message: str, value: Any) -> NoReturn:
    came = value if isinstance(value, str | int | Decimal) else type(value).__name__
    raise DoesNotAddUp(path, f"{message}; came: {f'{came!s:.40}'}")


def _plain_text(value: Any, most: int, path: str, what: str) -> str:
    if not isinstance(value, str | None):
        raise DoesNotAddUp(path, f"{what} must be text")
    kinds = ((letter, unicodedata.category(letter)) for letter in value or "")
    kept = (" " if kind == "Cc" else letter for letter, kind in kinds if kind not in UNSENDABLE)
    text = unicodedata.normalize("NFC", " ".join("".join(kept).split()))
    if len(text) > most:
        raise DoesNotAddUp(path, f"{what} has {len(text)} characters, an invoice holds {most}")
    return text


def _format(amount: int) -> str:
    return f"{amount:,} đồng".replace(",", ".")
