"""Compare our invoices with the provider's ledger: every order must be accounted for exactly once, to the đồng."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from django.db.models import F, Min

from invoices.dev.demo.day import Order
from invoices.lifecycle import NUMBERED, State
from invoices.models import Invoice

OPEN = (State.QUEUED, State.SENDING, State.UNCERTAIN, State.SUBMITTED)


@dataclass(frozen=True, slots=True)
class Books:
    """Amounts in đồng. `paid_total` leaves out orders that need no invoice: refunded, lapsed, or still claimable."""

    orders: int
    states: dict[str, int]
    ledger: int
    duplicates: int
    lost: list[str]  # orders that no rule explains, each with the discrepancy
    received_total: int
    paid_total: int
    invoiced_total: int
    slowest: tuple[str, float]  # order, seconds from its first take to its number

    @property
    def agree(self) -> bool:
        return not (self.duplicates or self.lost) and self.paid_total == self.invoiced_total

    def to_json(self, seconds: float) -> dict[str, Any]:
        return {
            "orders": self.orders,
            **{
                state.lower(): self.states.get(state, 0)
                for state in ("ISSUED", "WAITING", "FAILED", "EXPIRED", "CANCELLED")
            },
            "ledger": self.ledger,
            "duplicates": self.duplicates,
            "lost": len(self.lost),
            "lostOrders": self.lost[:20],
            "receivedTotal": self.received_total,
            "paidTotal": self.paid_total,
            "invoicedTotal": self.invoiced_total,
            "slowestOrder": self.slowest[0],
            "slowestSeconds": round(self.slowest[1], 3),
            "seconds": round(seconds, 1),
        }


def compare_books(orders: list[Order], ledger: list[dict[str, Any]]) -> Books:
    """`orders` is the platform's view, the invoices are ours, `ledger` is the provider's."""
    invoices = {(i.merchant.code, i.order_id): i for i in Invoice.objects.select_related("merchant").iterator()}
    theirs: dict[str, list[dict[str, Any]]] = {}
    for row in ledger:
        theirs.setdefault(row["transactionUuid"], []).append(row)
    lost, paid, states = [], 0, Counter[str]()
    for order in orders:
        invoice = invoices.pop((order.merchant, order.id), None)
        states[invoice.state if invoice else "LOST"] += 1
        rows = theirs.pop(str(invoice.reference), []) if invoice else []
        if discrepancy := _find_discrepancy(order, invoice, rows):
            lost.append(f"{order.id}: {discrepancy}")
        if _needs_invoice(order, invoice):
            paid += order.total
    lost += [f"{key[1]}: an invoice without an order" for key in invoices]
    lost += [f"{key}: only the provider has it" for key in theirs]
    return Books(
        orders=len(orders),
        states=dict(states),
        ledger=len(ledger),
        duplicates=len(ledger) - len({row["transactionUuid"] for row in ledger}),
        lost=lost,
        received_total=sum(order.total for order in orders),
        paid_total=paid,
        invoiced_total=sum(row["total"] for row in ledger),
        slowest=_slowest(),
    )


def _needs_invoice(order: Order, invoice: Invoice | None) -> bool:
    """Decided by the order if possible. Only our state shows an open claim window or a lapse."""
    if order.refunded and invoice and invoice.state == State.CANCELLED:
        return False
    return invoice is None or invoice.state not in (State.WAITING, State.EXPIRED)


def _find_discrepancy(order: Order, invoice: Invoice | None, rows: list[dict[str, Any]]) -> str:
    if invoice is None:
        return "paid, but there is no invoice"
    if invoice.total != order.total:
        return f"paid {order.total}, invoiced {invoice.total}"
    if invoice.state in NUMBERED:
        if [(str(row["number"]), row["total"]) for row in rows] != [(invoice.number, order.total)]:
            return f"our number is {invoice.number}, the provider has {len(rows)} invoices for it"
        return ""
    if rows:
        return f"it is {invoice.state} and the provider has {len(rows)} invoices for it"
    if invoice.state == State.CANCELLED and not order.refunded:
        return "cancelled without a refund"
    if invoice.state == State.EXPIRED and (order.claims or order.request or invoice.policy["unclaimed"] != "lapse"):
        return "lapsed although an invoice was requested"
    return f"still {invoice.state}" if invoice.state in OPEN else ""


def _slowest() -> tuple[str, float]:
    row = (
        Invoice.objects.exclude(issued_at=None)
        .annotate(seconds=F("issued_at") - Min("issuances__taken_at"))
        .order_by("-seconds")
        .values_list("order_id", "seconds")
        .first()
    )
    return (row[0], row[1].total_seconds()) if row else ("", 0.0)
