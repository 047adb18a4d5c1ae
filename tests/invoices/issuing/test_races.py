"""Facts that race each other and the pump: in any order nothing stays parked and nothing is lost."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections

from invoices.dev.simulator import Simulator
from invoices.issuing.pump import issue_due
from invoices.lifecycle import State
from invoices.models import Invoice, Payment
from invoices.opening import facts
from invoices.opening.conclude import apply_facts
from invoices.upkeep.sweep import open_parked_payments
from tests import cast

pytestmark = pytest.mark.django_db(transaction=True)


def race(times: int, *sides: Callable[[int], Any]) -> None:
    """Run the sides against each other, with a barrier before every round."""
    barrier, errors = threading.Barrier(len(sides)), []

    def run(side: Callable[[int], Any]) -> None:
        try:
            for at in range(times):
                barrier.wait(30)
                side(at)
        except threading.BrokenBarrierError:
            pass  # another side failed and reports why
        except BaseException as error:
            errors.append(error)
            barrier.abort()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(side,)) for side in sides]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    if errors:
        raise errors[0]


def test_a_payment_that_races_its_merchant_a_thousand_times_is_never_left_parked() -> None:
    times = 1000

    def pay(at: int) -> None:
        apply_facts(*facts.parse_payment(cast.payment(f"racer-{at}")), actor="test")

    race(times, pay, lambda at: cast.seller(f"racer-{at}"))
    open_parked_payments()
    assert Payment.objects.exclude(parked="").count() == 0
    assert Invoice.objects.count() == times


def test_a_refund_that_races_the_pump_never_ends_issued_without_owing_a_correction(provider: Simulator) -> None:
    merchant = cast.seller(url=provider.url)
    provider.add_tenants([cast.tenant(merchant)])
    sales = [cast.payment(merchant, orderId=f"race-{at}") for at in range(100)]
    rows = [cast.queued(merchant, **sale) for sale in sales]
    race(
        len(rows),
        lambda at: issue_due(rows[at].partition),
        lambda at: apply_facts(facts.parse_refund(cast.refund(sales[at])), actor="test"),
    )
    ends = list(Invoice.objects.values_list("state", "correction_owed"))
    assert set(ends) <= {(State.CANCELLED, False), (State.ISSUED, True)}
    assert provider.summary()["invoices"] == ends.count((State.ISSUED, True))
