"""The candidates for a search text: an order, a claim link, a phone number … Often several. Pure."""

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
    TAX_CODE = "tax code or personal ID number"
    PHONE = "phone"
    EMAIL = "email"
    NAME = "buyer's name"


PERSONAL = frozenset({Kind.TAX_CODE, Kind.PHONE, Kind.EMAIL, Kind.NAME})


class Candidate(NamedTuple):
    kind: Kind
    value: str
    symbol: str = ""  # of an invoice number


MAX_LENGTH = 400  # characters: a buyer's name
MIN_PREFIX = 3  # characters
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


def read_query(text: str) -> list[Candidate]:
    """All candidates, the most likely first. Empty for an empty text."""
    text = " ".join(unicodedata.normalize("NFC", text.replace("\x00", "")).split())[:MAX_LENGTH].rstrip()
    if link := CLAIM_LINK.search(text):
        return [Candidate(Kind.CLAIM, link[1])]
    if link := CONSOLE_LINK.search(text):
        return [Candidate(Kind.INVOICE, link[1])]
    return list(_candidates(text)) if text else []


def _candidates(text: str) -> Iterator[Candidate]:
    if len(text) <= 64:
        yield Candidate(Kind.ORDER, text)
        yield Candidate(Kind.PAYMENT, text)
    if ID.fullmatch(text):
        yield Candidate(Kind.INVOICE, text)
    if UUID.fullmatch(text):
        yield Candidate(Kind.REFERENCE, text.lower())
    if TOKEN.fullmatch(text):
        yield Candidate(Kind.CLAIM, text)
    if CODE.fullmatch(text):
        yield Candidate(Kind.CODE, text.upper())
    if number := NUMBER.fullmatch(text):
        yield Candidate(Kind.NUMBER, number[2], (number[1] or "").upper())
    yield from _of_buyer(text)
    if " " not in text and MIN_PREFIX <= len(text) <= 64:
        yield Candidate(Kind.ORDER_BEGIN, text)


def _of_buyer(text: str) -> Iterator[Candidate]:
    numbers = []
    if PHONE.fullmatch(digits := re.sub(r"[\s.()-]", "", text)):
        numbers.append(Candidate(Kind.PHONE, "0" + digits[3:] if digits.startswith("+84") else digits.lstrip("+")))
    if TAX_CODE.fullmatch(code := tax_codes.normalise(text)):
        # Ten digits may be a phone number or a tax code.
        numbers.insert(0 if _is_valid(code) else 1, Candidate(Kind.TAX_CODE, code))
    yield from numbers
    if EMAIL.fullmatch(text):
        yield Candidate(Kind.EMAIL, text.lower())
    elif WORD.search(text) and (" " in text or WORD.fullmatch(text)):  # "order-1" is not a name
        yield Candidate(Kind.NAME, text)


def _is_valid(code: str) -> bool:
    try:
        tax_codes.check(code)
    except tax_codes.InvalidTaxCode:
        return False
    return True
