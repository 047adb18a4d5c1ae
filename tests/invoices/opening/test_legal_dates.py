"""The dates that the law asks for follow from the payment, whenever the payment reaches us."""

from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest

from config.base import clock
from invoices.lifecycle import State
from invoices.models import Invoice
from invoices.opening import facts
from invoices.opening.conclude import apply_facts
from merchants.models import Merchant
from tests import DAY, cast

pytestmark = pytest.mark.django_db


def opened(paid_at: datetime, arrives_at: datetime, merchant: Merchant | None = None, **payment: Any) -> Invoice:
    """The invoice of a payment that reaches us at another time than it was made."""
    assert paid_at != arrives_at
    with clock.frozen(arrives_at):
        sale = cast.payment(merchant or cast.seller(), paidAt=paid_at.isoformat(), **payment)
        invoice = apply_facts(*facts.parse_payment(sale), actor="test").invoice
    assert invoice
    return Invoice.objects.get(pk=invoice.pk)


@pytest.mark.parametrize(
    ("paid", "arrives", "until"),
    [
        ((10, 0), (15, 0), (24, 0)),
        ((10, 0), (24 + 1, 0), (24, 0)),
        ((10, 0), (72, 0), (24, 0)),
        ((0, 0), (23, 59), (24, 0)),
        ((23, 50), (24, 10), (24, 20)),
        ((23, 59), (24, 1), (24, 29)),
        ((23, 50), (48, 0), (24, 20)),
    ],
)
def test_issue_date_and_limit_are_those_of_the_payment_and_not_of_its_arrival(
    paid: Any, arrives: Any, until: Any
) -> None:
    invoice = opened(clock.at_vn(DAY, *paid), clock.at_vn(DAY, *arrives))
    assert (invoice.issue_date, invoice.issue_until) == (DAY, clock.at_vn(DAY, *until))


@pytest.mark.parametrize(
    ("arrives", "state"),
    [((11, 0), State.WAITING), ((11, 59), State.WAITING), ((12, 0), State.QUEUED), ((30, 0), State.QUEUED)],
)
def test_the_claim_window_runs_from_the_payment_and_not_from_its_arrival(arrives: Any, state: State) -> None:
    invoice = opened(clock.at_vn(DAY, 10), clock.at_vn(DAY, *arrives))
    assert (invoice.claim_deadline, invoice.state) == (clock.at_vn(DAY, 12), state)
    assert invoice.not_before == clock.at_vn(DAY, *arrives)


def test_a_sale_of_the_evening_gets_no_window_whenever_it_arrives() -> None:
    invoice = opened(clock.at_vn(DAY, 22), clock.at_vn(DAY, 30))
    assert (invoice.claim_deadline, invoice.state) == (None, State.QUEUED)


def test_the_law_and_the_symbol_are_those_of_the_sale_day_across_new_year() -> None:
    merchant = cast.seller(symbol="C26TAA")
    cast.account(merchant, symbol="C27TAA")
    last = opened(clock.at_vn(date(2026, 12, 31), 23, 50), clock.at_vn(date(2027, 1, 1), 0, 5), merchant)
    assert (last.symbol, last.issue_date, last.issue_until) == (
        "C26TAA",
        date(2026, 12, 31),
        clock.at_vn(date(2027, 1, 1), 0, 20),
    )
    assert {line["vat_rate"] for line in last.bill["lines"]} == {"8%"}
    new_year = clock.at_vn(date(2027, 1, 1), 0, 5)
    ten = [{"name": "Trà", "quantity": 1, "unitPrice": 110_000, "vatRate": "10%"}]
    first = opened(new_year, new_year + timedelta(hours=1), merchant, lines=ten)
    assert (first.symbol, first.issue_date) == ("C27TAA", date(2027, 1, 1))
    with pytest.raises(facts.Unacceptable, match="8%"):
        opened(new_year, new_year + timedelta(hours=1), merchant)


def test_a_moment_is_of_the_day_in_viet_nam_whatever_offset_it_is_written_with() -> None:
    """17:30 in UTC is half past midnight of the next day."""
    midnight = clock.at_vn(DAY, 24, 30)
    for hours in (0, 7, -8):
        paid_at = midnight.astimezone(timezone(timedelta(hours=hours)))
        assert paid_at.isoformat().endswith(f"{hours:+03d}:00")
        invoice = opened(paid_at, clock.at_vn(DAY, 37))
        assert (invoice.issue_date, invoice.paid_at) == (DAY + timedelta(days=1), midnight)
