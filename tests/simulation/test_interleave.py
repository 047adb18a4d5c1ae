"""The scheduler of the simulation: what it does when acts do not come to their ends."""

from collections.abc import Callable, Iterator

import pytest
from django.db import connection, transaction

from tests.simulation.dice import Dice
from tests.simulation.interleave import Deadlock, Interleaver, Operation, Stuck

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def interleaver() -> Iterator[Interleaver]:
    made = Interleaver()
    yield made
    made.close()


def ask(sql: str) -> Callable[[], str]:
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
    acts = [Operation("one", locking(1, 2)), Operation("two", locking(1, 2)), Operation("three", ask("SELECT 3"))]
    interleaver.run(acts, Dice("after"))
    return [act.error for act in acts] == [None] * 3 and acts[2].result == "3"


def test_acts_that_wait_for_each_other_are_told_and_the_threads_are_as_new(interleaver: Interleaver) -> None:
    crossed = 0
    for seed in range(20):
        try:
            interleaver.run([Operation("one", locking(1, 2)), Operation("two", locking(2, 1))], Dice(str(seed)))
        except Deadlock as deadlock:
            crossed += 1
            assert "one at: SELECT pg_advisory_xact_lock" in str(deadlock)
            assert still_runs(interleaver)
    assert crossed


def test_a_wait_that_is_no_lock_is_told_with_what_it_waits_for(interleaver: Interleaver) -> None:
    interleaver.stuck, patience = 2, interleaver.stuck
    with pytest.raises(Stuck, match="slow: .*PgSleep") as caught:
        interleaver.run(
            [Operation("quick", locking(1, 2)), Operation("slow", ask("SELECT pg_sleep(60)"))], Dice("slow")
        )
    assert "quick: ['idle" in str(caught.value) or "idle: ['idle" in str(caught.value)
    interleaver.stuck = patience
    assert still_runs(interleaver)
