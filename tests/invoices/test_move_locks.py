"""`move` locks its rows in the order of their ids, so that two moves never wait for each other."""

import threading
from collections.abc import Iterable
from typing import Any

import pytest
from django.db import connection, connections, transaction

from invoices.audit import Event
from invoices.lifecycle import State
from invoices.models import Invoice
from invoices.moving import move
from tests import cast

pytestmark = pytest.mark.django_db(transaction=True)
IN_ID_ORDER = "SET enable_seqscan = off; SET enable_bitmapscan = off"  # the plan walks the index
IN_STORED_ORDER = "SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off"


def store_by_order_id() -> list[int]:
    """Rewrite the table in the order of the order ids. Returns the ids as PostgreSQL has stored them."""
    with connection.cursor() as cursor:
        cursor.execute("CLUSTER invoices_invoice USING by_order")
        cursor.execute("ALTER TABLE invoices_invoice SET WITHOUT CLUSTER")
        cursor.execute("SELECT id FROM invoices_invoice ORDER BY ctid")
        return [row[0] for row in cursor.fetchall()]


def wait_for_locks(count: int) -> None:
    """Until that many connections of this database wait for a lock."""
    with connection.cursor() as cursor:
        for _ in range(1000):
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if cursor.fetchone()[0] >= count:
                return
            cursor.execute("SELECT pg_sleep(0.01)")
    raise AssertionError(f"{count} connections do not wait for locks")


def test_two_moves_of_overlapping_sets_in_opposite_order_do_not_deadlock() -> None:
    """Whatever order the rows are asked for, and found, in. A third transaction holds them up in the middle."""
    merchant = cast.seller()
    ids = [cast.waiting(merchant, orderId=order).pk for order in ("order-c", "order-b", "order-a")]
    low, middle, high = ids
    assert store_by_order_id() == [high, middle, low]
    moved: dict[str, list[int]] = {}
    errors: list[BaseException] = []

    def move_all(name: str, plan: str, pks: Iterable[int]) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute(plan)
            step: Any = cast.step_to(State.WAITING, Event.FACT_NOTED)
            moved[name] = [invoice.pk for invoice, _ in move(pks, step, actor=name).moved]
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [
        threading.Thread(target=move_all, args=("up", IN_ID_ORDER, [low, middle, high])),
        threading.Thread(target=move_all, args=("down", IN_STORED_ORDER, [high, middle, low])),
    ]
    with transaction.atomic():
        Invoice.objects.select_for_update(no_key=True).get(pk=middle)
        for thread in threads:
            thread.start()
        wait_for_locks(len(threads))
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert moved == {"up": ids, "down": ids}
