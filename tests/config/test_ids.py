"""Ids made by PostgreSQL are unique under concurrency, grow with time and hold the worker id."""

import threading
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections

from config import checks
from config.base.ids import new_ids


@pytest.mark.django_db
def test_an_id_holds_its_worker_and_grows_with_time() -> None:
    first, second = new_ids(2)
    assert 0 < first < 2**63
    assert first != second and first >> 22 <= second >> 22
    assert first >> 12 & 1023 == settings.WORKER_ID


@pytest.mark.django_db(transaction=True)
def test_eight_connections_make_ten_thousand_ids_each_without_a_duplicate() -> None:
    made: list[int] = []
    barrier = threading.Barrier(8)

    def make() -> None:
        barrier.wait()
        made.extend(new_ids(10_000))
        connections.close_all()

    threads = [threading.Thread(target=make) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(made) == len(set(made)) == 80_000


@pytest.mark.django_db
def test_a_worker_id_that_differs_from_the_database_s_is_an_error(settings: Any) -> None:
    assert checks.check_worker_id(databases=["default"]) == []
    settings.WORKER_ID = 7
    (error,) = checks.check_worker_id(databases=["default"])
    assert "worker 0" in error.msg and "worker 7" in error.msg and "APP_ENV_INVOICE_WORKER_ID" in error.hint
    call_command("migrate", verbosity=0)
    assert checks.check_worker_id(databases=["default"]) == []
    settings.WORKER_ID = 0
    call_command("migrate", verbosity=0)
    connection.close()
