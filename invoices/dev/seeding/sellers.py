"""The generated merchants, their sales and their buyers. Each sale is settled once and used by many invoices."""

import json
import unicodedata
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from simple_history.utils import bulk_create_with_history
from stdnum.vn import mst

from config.base import clock
from config.base.ids import new_ids
from invoices.audit import canonical_json
from invoices.dev.demo.day import COMPANY, MENUS, PEOPLE
from invoices.issuing import documents
from invoices.models import Invoice, LegalRules
from invoices.opening.money import parse_lines, settle
from merchants.models import Merchant, ProviderAccount, TaxInfo

NOWHERE = "http://127.0.0.1:9"  # the discard port: seeded invoices are never sent
KINDS = {
    "Phở": "food", "Cà phê": "food", "Tiệm bánh": "food", "Quán nướng": "food", "Nhà thuốc": "pharmacy",
    "Nhà sách": "books", "Điện máy": "electronics", "Siêu thị": "mixed",
}  # fmt: skip
PLACES = ["Sương Sớm", "Mây Chiều", "Lá Lành", "Đèn Xanh", "Trang Vở", "Gió Biển", "Bốn Mùa", "Hạt Gạo", "Lò Ấm", "Sen"]
WINDOWS = (120, 120, 60, 0)  # claim windows in minutes, used in turn


@dataclass(frozen=True, slots=True)
class Sale:
    """One basket at one merchant, as JSON texts. The document has MARK_DATE and MARK_REFERENCE as placeholders."""

    sold: str
    bill: str
    document: str
    total: int
    vat: int


@dataclass(frozen=True, slots=True)
class Seller:
    pk: int
    code: str
    account: int
    tax_code: str
    form: str
    symbol: str
    window: int
    snapshot: str
    sales: list[Sale]


@dataclass(frozen=True, slots=True)
class Buyer:
    details: str  # JSON
    printed: str  # the buyer's part of the document


MARK_DATE = date(2026, 7, 2)
MARK_REFERENCE = "00000000-0000-0000-0000-000000000000"


def create_sellers(count: int, run: str, year: int) -> list[Seller]:
    """Creates the merchants in the database."""
    merchants, infos, accounts = [], [], []
    numbers = _tax_codes(int(run, 36))
    for at, pk in enumerate(new_ids(count)):
        kind = list(KINDS)[at % len(KINDS)]
        name = f"{kind} {PLACES[at // len(KINDS) % len(PLACES)]}" + (f" {at // 80 + 1}" if at >= 80 else "")
        window, form = WINDOWS[at % len(WINDOWS)], "2" if kind == "Phở" else "1"
        merchants.append(Merchant(pk=pk, code=f"{_slug(name)}-{run}", name=name, claim_window=window))
        infos.append(
            TaxInfo(
                merchant=merchants[-1], tax_code=next(numbers), legal_name=f"Công ty TNHH {name}",
                address=f"{at + 1} Phan Chu Trinh, phường Hoàn Kiếm, Hà Nội",
                method=TaxInfo.Method.DIRECT if form == "2" else TaxInfo.Method.DEDUCTION,
            )
        )  # fmt: skip
        symbol = f"C{year % 100}{'M' if window == 0 else 'T'}{chr(65 + at % 26)}{chr(65 + at // 26 % 26)}"
        account = ProviderAccount(
            pk=new_ids(1)[0], merchant=merchants[-1], base_url=NOWHERE, form=form, symbol=symbol, template=f"{form}/001"
        )
        account.set_credentials({"username": infos[-1].tax_code, "password": "seeded"})
        accounts.append(account)
    long_ago = clock.now() - timedelta(days=400)
    for model, rows in ((Merchant, merchants), (TaxInfo, infos), (ProviderAccount, accounts)):
        bulk_create_with_history(rows, model, default_change_reason="seeded", default_date=long_ago)
    return [_seller(*of, rank) for rank, of in enumerate(zip(merchants, infos, accounts, strict=True))]


def _seller(merchant: Merchant, info: TaxInfo, account: ProviderAccount, rank: int) -> Seller:
    snapshot = {
        "merchant": {"code": merchant.code, "name": merchant.name},
        "seller": info.seller,
        "policy": merchant.policy,
        "account": {"id": str(account.pk), "provider": account.provider, "template": account.template},
    }
    menu = MENUS[list(KINDS.values())[rank % len(KINDS)]]
    baskets = [menu[at : at + size] for size in (1, 2) for at in range(len(menu))]
    sales = [_sale(basket, 1 + at % 3, account, snapshot) for at, basket in enumerate(baskets)]
    return Seller(
        merchant.pk, merchant.code, account.pk, info.tax_code, account.form, account.symbol, merchant.claim_window,
        to_json(snapshot), sales,
    )  # fmt: skip


def _sale(basket: list[tuple[str, str, int, str]], quantity: int, account: ProviderAccount, snapshot: Any) -> Sale:
    lines = [
        {"name": name, "unit": unit, "quantity": quantity, "unitPrice": price, "vatRate": rate}
        for name, unit, price, rate in basket
    ]
    total = sum(quantity * price for _, _, price, _ in basket)
    decimal_lines = json.loads(json.dumps(lines), parse_int=Decimal)
    bill = settle(parse_lines(decimal_lines), form=account.form, prices_include_vat=True, discount=0, total=total)
    sold = {"lines": lines, "discount": None, "total": total, "pricesIncludeVat": True, "paymentMethod": "CK"}
    example = Invoice(
        reference=MARK_REFERENCE, form=account.form, symbol=account.symbol, issue_date=MARK_DATE, sold=sold,
        bill=bill.to_json(), config_snapshot=snapshot,
    )  # fmt: skip
    return Sale(to_json(sold), to_json(bill.to_json()), documents.render_document(example), bill.total, bill.vat)


def make_buyers() -> list[Buyer]:
    """The first is the consumer."""
    details: list[dict[str, str]] = [{}]
    for at, tax_code in zip(range(40), _tax_codes(4_000_000), strict=False):
        details.append(COMPANY | {"name": f"Công ty TNHH Mây Trắng {at + 1}", "taxCode": tax_code})
    for at, name in enumerate(PEOPLE):
        person = {"kind": "individual", "name": name, "address": "5 Lê Lợi, phường Bến Thành"}
        details.append(person | {"phone": f"09012345{at:02d}"})
    consumer = LegalRules.on(MARK_DATE).consumer_text
    return [Buyer(to_json(of), canonical_json(asdict(documents.printed_buyer(of, consumer)))) for of in details]


def to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _tax_codes(start: int) -> Iterator[str]:
    """Distinct tax codes of ten digits with a valid check digit."""
    for number in range(start % 9_000_000 + 1_000_000, 10_000_000):
        digits = f"03{number}"
        check = mst.calc_check_digit(digits)
        if len(check) == 1:
            yield digits + check


def _slug(name: str) -> str:
    letters = unicodedata.normalize("NFD", name.lower().replace("đ", "d"))
    return "".join(c for c in letters if not unicodedata.combining(c)).replace(" ", "-")
