"""The interface of an e-invoice provider: its methods and its possible answers.

An adapter sees an `Account` and a `Document` and nothing else: no model, no transaction, no audit.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one vendor. Times in seconds, except `key_unique_for`."""

    in_flight: int  # sends open at once on one account
    lookups_in_flight: int  # look-ups open at once on one account
    settle: float  # how long after the last byte of a send a "not found" proves nothing
    key_unique_for: timedelta  # how long the vendor refuses a second invoice for one reference
    connect: float  # name look-up, TCP and TLS
    total: float  # a whole call, from its first byte


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A login, a form and a symbol. `credentials` are decrypted and kept in memory only."""

    id: int
    base_url: str  # scheme and host; the adapter adds its paths
    tax_code: str  # the seller's, as the provider knows it
    form: str  # "1" … "9"
    symbol: str  # "C26TAA"
    template: str = ""  # the vendor's name of the form, "1/001"
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seller:
    tax_code: str
    legal_name: str
    address: str
    phone: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Buyer:
    """`name` is a person or the consumer's text, `legal_name` an organisation. They are never the same text."""

    name: str = ""
    legal_name: str = ""
    tax_code: str = ""
    personal_id: str = ""
    budget_code: str = ""
    address: str = ""
    email: str = ""
    phone: str = ""
    is_consumer: bool = False  # the buyer requested no invoice


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Amounts in đồng. `quantity` and `unit_price` are decimal texts with at most 4 and 6 places, before VAT."""

    name: str
    unit: str
    quantity: str
    unit_price: str
    vat_rate: str  # "0%" "5%" "8%" "10%" "KCT" "KKKNT", "" on form 2
    net: int
    vat: int
    gross: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RateTotal:
    vat_rate: str
    net: int
    vat: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Related:
    """The invoice that a correction replaces or adjusts."""

    form: str
    symbol: str
    number: str
    issue_date: date
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Everything that the law requires on the invoice. The same document always gives the same bytes for a vendor."""

    reference: str  # a UUID in 36 characters, the same for ever; the vendor's duplicate key
    kind: str  # "original", "replacement", "adjustment"
    form: str
    symbol: str
    template: str
    issue_date: date  # a day in Việt Nam
    payment_method: str  # "TM", "CK", "TM/CK" or free text
    seller: Seller
    buyer: Buyer
    lines: tuple[Line, ...]
    by_rate: tuple[RateTotal, ...]  # empty on form 2
    net: int
    vat: int
    total: int
    in_words: str
    currency: str = "VND"
    relates_to: Related | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """The legal invoice exists and has its tax authority code, or needs none."""

    number: str  # digits only, without the symbol
    symbol: str
    code: str  # of the tax authority
    lookup_code: str = ""
    lookup_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """Numbered; the tax authority has not answered yet."""

    number: str
    symbol: str
    lookup_code: str = ""
    lookup_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The vendor's report about a reference. None: not reported. Reported values must match our document."""

    number: str
    symbol: str
    code: str = ""  # "" until the tax authority answers
    lookup_code: str = ""
    lookup_url: str = ""
    issued_on: date | None = None
    seller_tax_code: str | None = None
    buyer_tax_code: str | None = None
    total: int | None = None
    rejected: str = ""  # the tax authority's reason, if it rejected the invoice


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One row of the vendor's list of a day. `reference` is empty if the vendor does not report it."""

    number: str
    symbol: str
    total: int
    reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    pdf: bytes
    xml: bytes


class Scope(StrEnum):
    ORDER = "order"  # this order's data: an amendment may fix it
    ACCOUNT = "account"  # login, quota, certificate, permission: every invoice of the account
    DATE_ORDER = "date_order"  # the symbol has already issued on a later day


class ProviderError(Exception):
    """`code` is the vendor's; `message` is for operators and holds no personal data."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code, self.message = code, message


class Refused(ProviderError):
    """The provider did nothing, and the same request would be refused again."""

    def __init__(self, code: str, message: str = "", *, scope: Scope, field: str = "", login: bool = False) -> None:
        super().__init__(code, message)
        self.scope = scope
        self.field = field  # the document's field that was refused: "buyer.tax_code"
        self.login = login  # the account's login failed; `probe` tests whether it works again


class Unavailable(ProviderError):
    """Nothing happened, and the same request may succeed later. `retry_after` in seconds, if the vendor gives it."""

    def __init__(self, code: str, message: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(code, message)
        self.retry_after = retry_after


class Uncertain(ProviderError):
    """The request may have taken effect. Look the reference up; never send again."""

    def __init__(self, code: str, message: str = "", *, look_up_now: bool = False) -> None:
        super().__init__(code, message)
        self.look_up_now = look_up_now  # the vendor reports that it knows this reference


class Provider(ABC):
    """One account at one vendor. It is built in the event loop's thread."""

    limits: Limits

    def __init__(self, account: Account, http: Any) -> None:
        self.account, self.http = account, http

    @abstractmethod
    async def issue(self, document: Document) -> Issued | Submitted:
        """Send once. Raises Refused, Unavailable or Uncertain."""

    @abstractmethod
    async def find(self, reference: str) -> Found | None:
        """Look a reference up. None: the provider positively does not know it. A ProviderError proves nothing."""

    @abstractmethod
    async def files(self, found: Found) -> Files:
        """The invoice's PDF and XML. Raises Unavailable while the vendor is still producing them."""

    @abstractmethod
    async def issued_on(self, day: date) -> list[Listed]:
        """All invoices that the vendor numbered for this account's tax code on that issue date, under any symbol."""

    @abstractmethod
    async def probe(self) -> None:
        """Test login and symbol, read-only. Raises the ProviderError that a send would meet."""
