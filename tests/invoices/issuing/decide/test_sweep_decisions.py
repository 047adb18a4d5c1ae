"""What falls due by time alone."""

import itertools
from typing import Any

import pytest

from config.base import clock
from invoices.lifecycle import State, WrongState
from invoices.operations.amend import fall_back_to_consumer
from invoices.upkeep.sweep import _abandon, _late_step
from tests.invoices.issuing.decide.rows import (
    INSTANT,
    NOTHING,
    NOW,
    REFUNDS,
    SECOND,
    THIS,
    attempt,
    check,
    failed,
    refunded,
    row,
)
from tests.invoices.issuing.decide.sends import lawful_rows

PAST_AND_FUTURE = {"past": NOW - SECOND, "now": NOW, "in a moment": NOW + INSTANT}


def test_only_what_is_queued_at_its_issue_limit_is_late() -> None:
    for (state, by, number, reason), when in itertools.product(lawful_rows(), PAST_AND_FUTURE):
        before = row(state, exposed_by=by, number=number, failure=reason, issue_until=PAST_AND_FUTURE[when])
        with clock.frozen(NOW):
            step = _late_step(before)
        late = state == State.QUEUED and when != "in a moment"
        check((state, when), before, step, {**failed("late"), "audit": ("late", "failed")} if late else NOTHING)


def test_only_a_send_past_its_longest_call_with_an_open_attempt_is_abandoned() -> None:
    for (state, by, number, _), when, is_open in itertools.product(lawful_rows(), PAST_AND_FUTURE, (False, True)):
        before = row(state, exposed_by=by, number=number, not_before=PAST_AND_FUTURE[when])
        with clock.frozen(NOW):
            step = _abandon(before, attempts={before.pk: attempt()} if is_open else {})
        abandoned = state == State.SENDING and when != "in a moment" and is_open
        assert (step is not None) == abandoned, (state, when, is_open)
        assert step is None or step.to == State.UNCERTAIN


def test_a_refused_buyer_falls_back_to_the_consumer_where_the_buyer_could_have_corrected_it() -> None:
    axes = itertools.product(lawful_rows(), ("buyer.tax_code", "buyer", "lines.name", ""), (False, True), REFUNDS,
                             (False, True), PAST_AND_FUTURE)  # fmt: skip
    for (state, by, number, reason), field, allowed, refund, doubted, when in axes:
        before = row(
            state, exposed_by=by, number=number, failure=reason, failure_field=field, buyer={"name": "A"},
            buyer_source="checkout", issue_until=PAST_AND_FUTURE[when], attempts=3,
            config_snapshot={"policy": {"consumerFallback": allowed}, "merchant": {"code": "m"}},
            first_uncertain_at=NOW if doubted else None, **refunded(refund),
        )  # fmt: skip
        amount, settled = REFUNDS[refund]
        correctable = (state, by, reason) == (State.FAILED, None, "refused") and not doubted and amount == settled
        case: Any = (state, by, reason, field, allowed, refund, doubted, when)
        with clock.frozen(NOW):
            if not (field == "buyer.tax_code" and allowed):
                check(case, before, fall_back_to_consumer(before), NOTHING)
            elif not correctable or when != "in a moment":
                with pytest.raises(WrongState):
                    fall_back_to_consumer(before)
            else:
                expected = {
                    "state": State.QUEUED, "buyer": {}, "buyer_source": "", "document": "", "attempts": 0,
                    "failure": "", "failure_field": "", "not_before": NOW, "audit": ("consumer_fallback", "ok"),
                }  # fmt: skip
                check(case, before, fall_back_to_consumer(before), expected)


def test_a_sale_of_this_attempt_is_not_abandoned_while_another_worker_records_it() -> None:
    """Between the query and the lock the answer came."""
    with clock.frozen(NOW):
        assert _abandon(row(State.ISSUED, exposed_by=THIS, number="7", not_before=NOW), attempts={1: attempt()}) is None
