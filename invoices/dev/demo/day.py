"""The orders of a simulated day, with requests, claims and refunds. The same seed makes the same day."""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from config.base import clock
from invoices.models import LegalRules
from merchants.models import Merchant

# name, unit, price in đồng, VAT rate: on form 2 the rate is ignored
MENUS: dict[str, list[tuple[str, str, int, str]]] = {
    "food": [
        ("Phở bò tái", "tô", 55000, "8%"),
        ("Cà phê sữa đá", "ly", 35000, "8%"),
        ("Bánh mì thịt", "ổ", 25000, "8%"),
        ("Trà đào cam sả", "ly", 45000, "8%"),
    ],
    "electronics": [
        ("Tai nghe không dây", "cái", 1290000, "10%"),
        ("Cáp sạc USB-C", "sợi", 149000, "10%"),
        ("Bàn phím cơ", "cái", 890000, "10%"),
    ],
    "pharmacy": [
        ("Khẩu trang y tế", "hộp", 45000, "5%"),
        ("Nước muối sinh lý", "chai", 12500, "5%"),
        ("Băng gạc", "cuộn", 8000, "5%"),
    ],
    "books": [
        ("Sách giáo khoa Toán 5", "quyển", 23000, "KCT"),
        ("Vở bài tập Tiếng Việt 4", "quyển", 17500, "KCT"),
    ],
    "mixed": [
        ("Gạo ST25", "kg", 33000, "5%"),
        ("Nước rửa chén", "chai", 41500, "8%"),
        ("Rượu vang", "chai", 385000, "10%"),
        ("Sách thiếu nhi", "quyển", 52000, "KCT"),
    ],
}
MENU_OF = {"electronics": "electronics", "pharmacy": "pharmacy", "book": "books", "mart": "mixed"}
PEOPLE = ["Nguyễn Thị Mai", "Trần Văn Hùng", "Lê Thu Hà", "Phạm Quốc Bảo", "Võ Ngọc Lan"]
COMPANY = {
    "kind": "company",
    "name": "Công ty TNHH Mây Trắng Miền Trung",
    "taxCode": "0401234566",
    "address": "88 Bạch Đằng, Phường Hải Châu, Đà Nẵng",
    "email": "ketoan@maytrang.example",
}


@dataclass(slots=True)
class Order:
    payment: dict[str, Any]
    claims: bool = False  # the buyer opens the page
    refunded: bool = False
    request: dict[str, Any] | None = None
    claim_url: str = field(default="", compare=False)
    answer: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def id(self) -> str:
        return self.payment["orderId"]

    @property
    def merchant(self) -> str:
        return self.payment["merchantId"]

    @property
    def total(self) -> int:
        return self.payment["total"]


def make_orders(count: int, seed: int = 1) -> list[Order]:
    """`count` orders since early morning. The buyers of the last fifth may still claim."""
    dice = random.Random(seed)  # noqa: S311  (test data, not a secret)
    merchants = list(Merchant.objects.not_deleted().select_related("tax_info").order_by("code"))
    now = clock.now()
    day: list[Order] = []
    for at in range(count):
        merchant = merchants[at % len(merchants)]
        fresh = at >= count * 4 // 5
        ago = timedelta(minutes=dice.uniform(1, 100) if fresh else dice.uniform(125, 240))
        order = Order(_payment(dice, merchant, at, now - ago), claims=fresh and dice.random() < 0.6)
        order.refunded = not order.claims and fresh and dice.random() < 0.15
        if not fresh and dice.random() < 0.1:
            order.request = _request(dice, order, now - ago)
        day.append(order)
    return day


def choose_buyer(dice: random.Random) -> dict[str, Any]:
    if dice.random() < 0.5:
        return COMPANY
    return {
        "kind": "individual",
        "name": dice.choice(PEOPLE),
        "address": "5 Lê Lợi, Phường Bến Thành",
        "phone": "0901234567",
    }


def refund_body(order: Order, now: datetime) -> dict[str, Any]:
    return {
        "orderId": order.id,
        "merchantId": order.merchant,
        "refundId": f"refund-{order.id}",
        "refundedAt": now.isoformat(),
        "amount": order.total,
        "full": True,
    }


def _payment(dice: random.Random, merchant: Merchant, at: int, paid_at: datetime) -> dict[str, Any]:
    menu = MENUS[next((menu for word, menu in MENU_OF.items() if word in merchant.code), "food")]
    includes_vat = menu is not MENUS["mixed"]
    lines, total = [], 0
    known = LegalRules.on(clock.day_vn(paid_at)).vat_rates
    for name, unit, price, rate in dice.sample(menu, dice.randint(1, len(menu))):
        rate = rate if rate in known else "10%"  # the reduction to 8 % ends
        quantity = dice.randint(1, 4)
        lines.append({"name": name, "unit": unit, "quantity": quantity, "unitPrice": price, "vatRate": rate})
        amount = quantity * price
        percent = int(rate[:-1]) if rate.endswith("%") and not includes_vat else 0
        total += amount + (amount * percent + 50) // 100
    return {
        "orderId": f"{merchant.code}-{at + 1:06d}",
        "paymentId": f"pay-{merchant.code}-{at + 1:06d}",
        "merchantId": merchant.code,
        "paidAt": paid_at.isoformat(),
        "currency": "VND",
        "paymentMethod": dice.choice(["CK", "TM", "TM/CK"]),
        "pricesIncludeVat": includes_vat,
        "lines": lines,
        "total": total,
    }


def _request(dice: random.Random, order: Order, at: datetime) -> dict[str, Any]:
    return {
        "requestId": f"request-{order.id}",
        "orderId": order.id,
        "merchantId": order.merchant,
        "requestedAt": at.isoformat(),
        "source": "checkout",
        "buyer": choose_buyer(dice),
    }
