"""Concurrency: buyers, beat and a worker on the same row, each on its own connection."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from config.base import clock
from invoices.issuing.take import take
from invoices.lifecycle import State
from invoices.models import Invoice
from invoices.opening.claim_window import close_claim_windows
from invoices.operations.claim import Closed, Taken, claim
from tests import cast
from tests.claims.stages import event_types, reload_invoice

pytestmark = pytest.mark.usefixtures("transactional_db")


def at_once(acts: list[Callable[[], Any]]) -> list[Any]:
    """Run all at the same moment, each in its own thread and on its own connection. Errors are returned."""
    barrier, results = threading.Barrier(len(acts)), [None] * len(acts)

    def run(at: int) -> None:
        try:
            barrier.wait(timeout=30)
            results[at] = acts[at]()
        except Exception as error:  # noqa: BLE001  (returned)
            results[at] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[at]) for at in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return results


def test_of_twenty_concurrent_claims_one_is_first_and_the_rest_are_edits() -> None:
    invoice = cast.waiting()
    people = [cast.PERSON | {"name": f"Nguyễn Văn {at}"} for at in range(20)]
    results = at_once([lambda buyer=buyer: claim(invoice.claim_token, buyer) for buyer in people])
    assert [r for r in results if isinstance(r, Exception)] == []
    row = reload_invoice(invoice)
    assert event_types(row) == ["opened", "claimed", *["buyer_changed"] * 19]
    requests = list(row.requests.filter(source="claim").order_by("requested_at"))
    assert len(requests) == 20 == len({request.requested_at for request in requests})
    assert row.buyer == requests[-1].buyer
    assert row.state == State.QUEUED


@pytest.mark.parametrize("attempt", range(5))
def test_a_claim_that_races_expiry_is_accepted_or_refused_completely(attempt: int) -> None:
    invoice = cast.waiting()
    Invoice.objects.filter(pk=invoice.pk).update(claim_deadline=clock.now() + timedelta(milliseconds=30))
    beats = [lambda: close_claim_windows(invoice.partition)] * 3
    claimed, *_ = at_once([lambda: claim(invoice.claim_token, cast.COMPANY), *beats, *beats])
    with clock.frozen(clock.now() + timedelta(seconds=1)):
        close_claim_windows(invoice.partition)
    row = reload_invoice(invoice)
    assert row.state == State.QUEUED
    if isinstance(claimed, Closed):
        assert (row.buyer, row.claimed_at, event_types(row)) == ({}, None, ["opened", "claim_window_closed"])
    else:
        assert (row.buyer, event_types(row)) == (cast.COMPANY, ["opened", "claimed"])


@pytest.mark.parametrize("attempt", range(5))
def test_an_edit_that_races_a_worker_is_sent_or_refused(attempt: int) -> None:
    invoice = cast.waiting()
    claim(invoice.claim_token, cast.COMPANY)
    Invoice.objects.filter(pk=invoice.pk).update(not_before=clock.now())
    edited, calls = at_once([lambda: claim(invoice.claim_token, cast.PERSON), lambda: take(invoice.partition, 10)])
    calls = calls or take(invoice.partition, 10)  # the worker skips a row that the buyer has locked, and takes it later
    expected = cast.COMPANY if isinstance(edited, Taken) else cast.PERSON
    assert reload_invoice(invoice).buyer == expected
    assert expected["name"] in calls[0].document


def test_concurrent_expiry_decides_each_sale_once() -> None:
    merchant = cast.seller()
    opened = [cast.waiting(merchant) for _ in range(30)]
    past = clock.now() - timedelta(seconds=1)
    Invoice.objects.filter(pk__in=[i.pk for i in opened]).update(claim_deadline=past, partition=0)
    assert sum(at_once([lambda: close_claim_windows(0)] * 4)) == 30
    assert all(event_types(invoice) == ["opened", "claim_window_closed"] for invoice in opened)


def test_a_claim_checks_the_row_again_after_waiting_for_its_lock() -> None:
    """Lock, then check: the window closes while another transaction holds the row."""
    invoice = cast.waiting()
    held = threading.Event()

    def close_the_window() -> None:
        with transaction.atomic():
            Invoice.objects.select_for_update(no_key=True).get(pk=invoice.pk)
            held.set()
            while not a_lock_is_awaited():
                pass
            Invoice.objects.filter(pk=invoice.pk).update(claim_deadline=clock.now())

    def claim_meanwhile() -> Invoice:
        held.wait(timeout=30)
        return claim(invoice.claim_token, cast.COMPANY)

    _, claimed = at_once([close_the_window, claim_meanwhile])
    assert isinstance(claimed, Closed)
    assert reload_invoice(invoice).buyer == {}


def a_lock_is_awaited() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        return cursor.fetchone()[0]
