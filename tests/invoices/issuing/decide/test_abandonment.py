"""A send without an answer in the longest time that a call can take is in doubt."""

import itertools

from invoices.issuing.decide.send import after_abandonment
from invoices.lifecycle import State
from tests.invoices.issuing.decide.rows import (
    DAY,
    LIMITS,
    NOW,
    REFUNDS,
    SECOND,
    TAKEN,
    THIS,
    attempt,
    check,
    refunded,
    row,
)


def test_an_abandoned_send_is_in_doubt_and_looked_up_a_settle_time_after_its_last_byte() -> None:
    """Also where the sale was refunded meanwhile: the provider may have it."""
    for tries, doubted, last_byte, refund in itertools.product(
        (0, 6, 9), (False, True), (-90, -60, -59, 0, 5), REFUNDS
    ):
        before = row(
            State.SENDING, exposed_by=THIS, attempts=tries, first_uncertain_at=NOW - DAY if doubted else None,
            **refunded(refund),
        )  # fmt: skip
        sent = attempt(last_byte_by=NOW + last_byte * SECOND)
        step = after_abandonment(before, sent, now=NOW, limits=LIMITS)
        expected = {
            "state": State.UNCERTAIN, "attempts": tries + 1, "lookups": 0, "final_lookup_at": NOW + DAY,
            "first_uncertain_at": NOW - DAY if doubted else TAKEN[THIS],
            "not_before": NOW + max(0, last_byte + LIMITS.settle) * SECOND, "audit": ("abandoned", "failed"),
        }  # fmt: skip
        check((tries, doubted, last_byte, refund), before, step, expected)
