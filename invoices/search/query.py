"""What a text may be: an order, a claim link, a phone number … It may be several; each has its index. Pure."""

import re
import unicodedata
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from merchants import tax_codes


class Kind(StrEnum):
    INVOICE = "invoice"  # our own id
    ORDER = "order"
    ORDER_BEGIN = "beginning of an order"
    PAYMENT = "payment"
    CLAIM = "claim link"
    REFERENCE = "provider reference"
    NUMBER = "invoice number"
    CODE = "tax authority's code"
    TAX_CODE = "tax code or personal number"
    PHONE = "phone"
    EMAIL = "e-mail"
    NAME = "buyer's name"


PERSONAL = frozenset({Kind.TAX_CODE, Kind.PHONE, Kind.EMAIL, Kind.NAME})


class Look(NamedTuple):
    kind: Kind
    value: str
    symbol: str = ""  # of an invoice number


LONGEST = 400  # characters: a buyer's name
SHORTEST_BEGIN = 3  # characters
CLAIM_LINK = re.compile(r"/claims/([A-Za-z0-9_-]{16,43})(?:[/?#]|$)")
CONSOLE_LINK = re.compile(r"/invoices?/(\d{15,19})(?:[/?#]|$)")
TOKEN = re.compile(r"[A-Za-z0-9_-]{16,43}")
ID = re.compile(r"\d{15,19}")
UUID = re.compile(r"[0-9a-f]{8}(-?)[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{12}", re.IGNORECASE)
NUMBER = re.compile(r"(?:\d?([CK]\d{2}[A-Z][A-Z0-9]{2})[\s/#-]*)?(\d{1,8})", re.IGNORECASE)
CODE = re.compile(r"[A-Z0-9-]{16,34}", re.IGNORECASE)
TAX_CODE = re.compile(r"\d{10}(-\d{3})?|\d{12}")
PHONE = re.compile(r"\+?\d{8,15}")
EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
WORD = re.compile(r"[^\W\d_]{2,}")


def looks(text: str) -> list[Look]:
    """All that the text may be, the surest first. Nothing for nothing."""
    text = " ".join(unicodedata.normalize("NFC", text.replace("\x00", "")).split())[:LONGEST].rstrip()
    if link := CLAIM_LINK.search(text):
        return [Look(Kind.CLAIM, link[1])]
    if link := CONSOLE_LINK.search(text):
        return [Look(Kind.INVOICE, link[1])]
    return list(_looks(text)) if text else []


def _looks(text: str) -> Iterator[Look]:
    if len(text) <= 64:
        yield Look(Kind.ORDER, text)
        yield Look(Kind.PAYMENT, text)
    if ID.fullmatch(text):
        yield Look(Kind.INVOICE, text)
    if UUID.fullmatch(text):
        yield Look(Kind.REFERENCE, text.lower())
    if TOKEN.fullmatch(text):
        yield Look(Kind.CLAIM, text)
    if CODE.fullmatch(text):
        yield Look(Kind.CODE, text.upper())
    if number := NUMBER.fullmatch(text):
        yield Look(Kind.NUMBER, number[2], (number[1] or "").upper())
    yield from _of_buyer(text)
    if " " not in text and SHORTEST_BEGIN <= len(text) <= 64:
        yield Look(Kind.ORDER_BEGIN, text)


def _of_buyer(text: str) -> Iterator[Look]:
    numbers = []
    if PHONE.fullmatch(digits := re.sub(r"[\s.()-]", "", text)):
        numbers.append(Look(Kind.PHONE, "0" + digits[3:] if digits.startswith("+84") else digits.lstrip("+")))
    if TAX_CODE.fullmatch(code := tax_codes.normalise(text)):
        numbers.insert(0 if _is_sound(code) else 1, Look(Kind.TAX_CODE, code))  # ten digits may be either
    yield from numbers
    if EMAIL.fullmatch(text):
        yield Look(Kind.EMAIL, text.lower())
    elif WORD.search(text) and (" " in text or WORD.fullmatch(text)):  # "order-1" is nobody's name
        yield Look(Kind.NAME, text)


def _is_sound(code: str) -> bool:
    try:
        tax_codes.check(code)
    except tax_codes.ImpossibleTaxCode:
        return False
    return True
