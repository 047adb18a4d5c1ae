"""What may be taken: only what is due, of an account that may send, of the oldest day that it owes."""

import threading
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.db.models import F

from config.base import clock
from invoices.issuing.take import take
from invoices.lifecycle import State
from invoices.models import Invoice, Partition
from invoices.queues import partition_of
from merchants.models import Merchant, ProviderAccount
from tests import cast

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("stopped_clock")]
MOMENT = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
NUMBERED = {State.SUBMITTED, State.ISSUED, State.REPLACED, State.ADJUSTED}
EXPOSED = NUMBERED | {State.SENDING, State.UNCERTAIN}
ORDERS = count()


def due(merchant: Merchant | None = None, *, partition: int = 0, **fields: Any) -> Invoice:
    """QUEUED and due, in that partition; `fields` are set afterwards."""
    order = next(order for at in ORDERS if partition_of(order := f"guard-{at}") == partition)
    invoice = cast.queued(merchant, orderId=order)
    if fields:
        Invoice.objects.filter(pk=invoice.pk).update(**fields)
    return Invoice.objects.get(pk=invoice.pk)


def taken(partition: int = 0, room: int = 100, **how: Any) -> set[int]:
    return {call.invoice_id for call in take(partition, room, **how)}


def in_state(invoice: Invoice, state: State, **fields: Any) -> None:
    """As if it were in that state, with what the database asks of it."""
    exposed = {"exposed_at": clock.now()} if state in EXPOSED else {"exposed_at": None}
    number = {"number": f"{invoice.pk % 10**7}"} if state in NUMBERED else {}
    Invoice.objects.filter(pk=invoice.pk).update(state=state, **exposed, **number, **fields)


# --- Time -------------------------------------------------------------------------------------------------------------


def test_nothing_is_sent_from_its_issue_limit_on() -> None:
    """Beside an invoice of its account that may be sent."""
    merchant, now = cast.seller(), clock.now()
    in_time = due(merchant, issue_until=now + MOMENT)
    due(merchant, issue_until=now)
    due(merchant, issue_until=now - HOUR)
    assert taken() == {in_time.pk}
    due(issue_until=now)  # alone at its account
    assert taken() == set()


def test_nothing_is_sent_before_its_time() -> None:
    merchant, now = cast.seller(), clock.now()
    ready = due(merchant, not_before=now)
    due(merchant, not_before=now + MOMENT)
    due(merchant, not_before=now + HOUR)
    assert taken() == {ready.pk}
    due(not_before=now + MOMENT)
    assert taken() == set()


# --- Accounts ---------------------------------------------------------------------------------------------------------

CLOSED: dict[str, dict[str, Any]] = {
    "inactive": {"is_active": False},
    "deleted": {"deleted_at": F("created_at")},
    "paused": {"paused": True},
    "parked": {"parked_until": F("created_at") + HOUR},
    "parked for its login": {"parked_for_login": True, "parked_until": F("created_at") + HOUR},
    "parked for its login, and due for a probe": {"parked_for_login": True, "parked_until": F("created_at") - HOUR},
}


@pytest.mark.parametrize("why", CLOSED)
def test_an_account_that_is_closed_sends_nothing_and_takes_no_room_from_an_open_one(why: str) -> None:
    closed, free = due(), due()
    assert closed.account_id and free.account_id and closed.account_id < free.account_id
    ProviderAccount.objects.filter(pk=closed.account_id).update(**CLOSED[why])
    assert taken(room=1, freed={closed.account_id}) == {free.pk}
    assert taken() == set()


def test_an_account_of_a_paused_merchant_takes_no_room_either() -> None:
    closed, free = due(), due()
    Merchant.objects.filter(pk=closed.merchant_id).update(paused=True)
    assert taken(room=1) == {free.pk}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("why", CLOSED)
def test_an_account_that_closes_while_its_lock_is_waited_for_sends_nothing(why: str) -> None:
    invoice = due()
    result: list[set[int]] = []

    def work() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET application_name = 'the taker'")
        result.append(taken())
        connections.close_all()

    worker = threading.Thread(target=work)
    with transaction.atomic():
        ProviderAccount.objects.filter(pk=invoice.account_id).update(**CLOSED[why])
        worker.start()
        wait_for_locks(1)
    worker.join(30)
    assert result == [set()]
    assert Invoice.objects.get().state == State.QUEUED


def wait_for_locks(count: int) -> None:
    """Until that many connections of this database wait for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with connection.cursor() as cursor:
        for _ in range(1000):
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(waiting)
            if cursor.fetchone()[0] >= count:
                return
            cursor.execute("SELECT pg_sleep(0.01)")
    raise AssertionError("no connection waits for a lock")


# --- Partitions -------------------------------------------------------------------------------------------------------


def test_an_invoice_of_a_paused_partition_is_sent_by_no_worker_of_another() -> None:
    merchant = cast.seller()
    paused, other = due(merchant, partition=1), due(merchant, partition=2)
    Partition.objects.create(number=1, paused=True)
    assert taken(1) == set()
    assert taken(2) == {other.pk}
    account = {ProviderAccount.objects.get().pk}
    assert taken(2, freed=account) == taken(1, freed=account) == set()
    Partition.objects.update(paused=False)
    assert taken(2, freed=account) == {paused.pk}  # an unpaused partition's invoices are anybody's


# --- Slots ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", list(State))
def test_only_an_invoice_that_is_being_sent_takes_a_slot(state: State) -> None:
    merchant = cast.seller()
    ProviderAccount.objects.update(in_flight=1)
    in_state(due(merchant, not_before=clock.now() + HOUR), state)
    other = due(merchant)
    assert taken() == (set() if state == State.SENDING else {other.pk})


@pytest.mark.parametrize("sending", [0, 1, 2, 3, 4])
def test_an_account_has_as_many_slots_as_it_or_its_vendor_allows(sending: int) -> None:
    merchant = cast.seller()
    for _ in range(sending):
        in_state(due(merchant), State.SENDING)
    for _ in range(6):
        due(merchant)
    assert len(taken()) == 4 - sending  # Viettel's limit
    ProviderAccount.objects.update(in_flight=5)
    assert len(taken()) == 1


def test_a_parked_account_sends_one_invoice_and_waits_for_its_answer() -> None:
    merchant = cast.seller()
    for _ in range(3):
        due(merchant)
    ProviderAccount.objects.update(parked_until=clock.now(), in_flight=3)
    assert len(taken()) == 1
    assert taken() == set()


# --- Days -------------------------------------------------------------------------------------------------------------

HOLDS_ITS_DAY = {State.WAITING, State.QUEUED, State.SENDING, State.UNCERTAIN}


@pytest.mark.parametrize("state", list(State))
def test_a_day_is_held_open_by_what_may_still_be_sent_or_found_and_by_nothing_else(state: State) -> None:
    """Also by what is not due: only the oldest day that the account owes is sent."""
    merchant = cast.seller()
    yesterday = clock.today_vn() - timedelta(days=1)
    in_state(due(merchant, not_before=clock.now() + HOUR, issue_date=yesterday), state)
    today = due(merchant)
    assert taken() == (set() if state in HOLDS_ITS_DAY else {today.pk})


@pytest.mark.parametrize("state", sorted(HOLDS_ITS_DAY))
def test_an_account_whose_oldest_day_is_held_open_takes_no_room_from_another(state: State) -> None:
    merchant = cast.seller()
    yesterday = clock.today_vn() - timedelta(days=1)
    in_state(due(merchant, not_before=clock.now() + HOUR, issue_date=yesterday), state)
    due(merchant)
    free = due()
    assert taken(room=1) == {free.pk}


def test_the_oldest_day_goes_first_and_alone_in_the_order_of_its_invoices() -> None:
    merchant = cast.seller()
    ProviderAccount.objects.update(in_flight=3)
    days = [clock.today_vn() - timedelta(days=days) for days in (0, 1, 0, 1)]
    today, yesterday, _, later = [due(merchant, issue_date=day) for day in days]
    assert taken() == {yesterday.pk, later.pk}  # there is a slot left, for today's too
    for pk in (yesterday.pk, later.pk):
        in_state(Invoice.objects.get(pk=pk), State.ISSUED)
    assert [call.invoice_id for call in take(0, 1)] == [today.pk]
