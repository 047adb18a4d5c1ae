"""The scheduler of the simulation: what it does with operations that do not end."""

from collections.abc import Callable, Iterator

import pytest
from django.db import connection, transaction

from tests.simulation.world.dice import Dice
from tests.simulation.world.interleave import Deadlock, Interleaver, Operation, Stuck

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def interleaver() -> Iterator[Interleaver]:
    made = Interleaver()
    yield made
    made.close()


def run_query(sql: str) -> Callable[[], str]:
    def work() -> str:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return str(cursor.fetchone()[0])

    return work


def locking(*keys: int) -> Callable[[], None]:
    def work() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            for key in keys:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [key])

    return work


def still_runs(interleaver: Interleaver) -> bool:
    operations = [
        Operation("one", locking(1, 2)),
        Operation("two", locking(1, 2)),
        Operation("three", run_query("SELECT 3")),
    ]
    interleaver.run(operations, Dice("after"))
    return [operation.error for operation in operations] == [None] * 3 and operations[2].result == "3"


def test_a_deadlock_is_reported_and_the_threads_can_be_used_again(interleaver: Interleaver) -> None:
    deadlocks = 0
    for seed in range(20):
        try:
            interleaver.run([Operation("one", locking(1, 2)), Operation("two", locking(2, 1))], Dice(str(seed)))
        except Deadlock as deadlock:
            deadlocks += 1
            assert "one at: SELECT pg_advisory_xact_lock" in str(deadlock)
            assert still_runs(interleaver)
    assert deadlocks


def test_a_wait_for_something_else_than_a_lock_is_reported_with_its_wait_event(interleaver: Interleaver) -> None:
    stuck, interleaver.stuck = interleaver.stuck, 2  # seconds that this test waits
    with pytest.raises(Stuck, match="slow: .*PgSleep") as caught:
        interleaver.run(
            [Operation("quick", locking(1, 2)), Operation("slow", run_query("SELECT pg_sleep(60)"))], Dice("slow")
        )
    assert "quick: ['idle" in str(caught.value) or "idle: ['idle" in str(caught.value)
    interleaver.stuck = stuck
    assert still_runs(interleaver)
