"""The claim window, the issue limit and the first state of a sale, as the law and the merchant have them."""

import itertools
from datetime import datetime, time, timedelta
from typing import Any

import pytest

from config.base import clock
from invoices.lifecycle import State
from invoices.models import LegalRules
from invoices.models.rules import issue_limit
from invoices.opening.claim_window import _close_window, state_after_window
from invoices.opening.new_invoice import _first_state
from merchants.models import Merchant
from tests import DAY
from tests.invoices.issuing.decide.rows import INSTANT, NOTHING, NOW, SECOND, check, row
from tests.invoices.issuing.decide.sends import lawful_rows

RULES = LegalRules(claim_window=120, claims_close=time(23, 55), at_once_from=time(22))
MINUTES = (0, 1, 90, 120, 121, 600)
CLOSED = {  # the merchant's policy, whether the buyer is known, and what becomes of the sale
    ("consumer", False): State.QUEUED,
    ("consumer", True): State.QUEUED,
    ("lapse", False): State.EXPIRED,
    ("lapse", True): State.QUEUED,
}


def sale_times() -> list[datetime]:
    """Every five minutes of a day in Việt Nam, and the moments around its turns."""
    edges = [
        clock.at_vn(DAY, hour, minute) for hour, minute in ((0, 0), (21, 55), (22, 0), (23, 30), (23, 55), (24, 0))
    ]
    steps = [clock.at_vn(DAY) + timedelta(minutes=5 * at) for at in range(288)]
    return steps + [edge + shift for edge in edges for shift in (-INSTANT, timedelta(0), INSTANT)]


def test_a_claim_window_lasts_two_hours_at_most_ends_at_2355_and_does_not_open_from_2200_on() -> None:
    for paid_at, minutes in itertools.product(sale_times(), MINUTES):
        sold = paid_at.astimezone(clock.VIETNAM)
        deadline = RULES.claim_deadline(paid_at, minutes)
        if minutes == 0 or sold.hour >= 22:
            assert deadline is None, (sold, minutes)
        else:
            closes = sold.replace(hour=23, minute=55, second=0, microsecond=0)
            assert deadline == min(paid_at + timedelta(minutes=min(minutes, 120)), closes), (sold, minutes)


def test_a_sale_may_be_issued_until_its_day_is_over_and_for_half_an_hour_at_least() -> None:
    for paid_at in sale_times():
        sold = paid_at.astimezone(clock.VIETNAM)
        day_ends = sold.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        late = sold.hour == 23 and sold.minute >= 30
        assert issue_limit(paid_at) == (paid_at + timedelta(minutes=30) if late else day_ends), sold


def test_when_its_window_is_over_a_sale_goes_to_a_known_buyer_else_to_the_consumer_or_lapses() -> None:
    for (policy, known), state in CLOSED.items():
        assert state_after_window(policy, known)[0] == state


def test_only_a_waiting_sale_whose_deadline_has_come_leaves_its_window() -> None:
    deadlines = {"none": None, "past": NOW - SECOND, "now": NOW, "in a moment": NOW + INSTANT}
    for (state, by, number, _), deadline, (policy, known) in itertools.product(lawful_rows(), deadlines, CLOSED):
        before = row(
            state, exposed_by=by, number=number, claim_deadline=deadlines[deadline],
            buyer={"name": "A"} if known else {},
            config_snapshot={"merchant": {"code": "m"}, "policy": {"unclaimed": policy}},
        )  # fmt: skip
        with clock.frozen(NOW):
            step = _close_window(before)
        expected: dict[str, Any] = NOTHING
        if state == State.WAITING and deadline in ("past", "now"):
            to = CLOSED[policy, known]
            expected = {"state": to, "audit": ("claim_window_closed", "ok")} | (
                {"not_before": NOW} if to == State.QUEUED else {}
            )
        check((state, deadline, policy, known), before, step, expected)


@pytest.mark.parametrize(("policy", "known"), CLOSED)
def test_a_sale_waits_for_its_buyer_only_while_its_window_is_open(policy: str, known: bool) -> None:
    merchant = Merchant(unclaimed=policy)
    expected = {
        None: State.QUEUED, NOW + INSTANT: State.WAITING, NOW + timedelta(hours=2): State.WAITING,
        NOW: CLOSED[policy, known], NOW - timedelta(days=3): CLOSED[policy, known],
    }  # fmt: skip
    for deadline, state in expected.items():
        assert _first_state(110_000, deadline, merchant, known, NOW)[0] == state, deadline
