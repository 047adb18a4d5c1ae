"""`manage.py run`: the commands of our processes. Graceful shutdown is tested in tests/chaos/test_shutdown.py."""

from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection

from config.processes import run_modes
from invoices import queues
from tests.config.test_deployment import GOOD, manage


def test_the_queues_are_those_of_wake_ups_and_of_the_schedule() -> None:
    known = {queues.BACKGROUND, queues.DELIVERIES, settings.CELERY_TASK_DEFAULT_QUEUE}
    for partition in range(settings.PARTITIONS):
        known |= {queues.issuance_queue(partition), queues.expiry_queue(partition)}
    assert set(settings.QUEUES) == known
    assert {entry["options"]["queue"] for entry in settings.CELERY_BEAT_SCHEDULE.values()} <= known


def test_a_worker_of_an_unknown_queue_is_refused() -> None:
    with pytest.raises(CommandError, match="invoice-issuance-99"):
        call_command("run", "worker", "invoice-issuance-99")


def test_in_production_migrate_refuses_what_check_deploy_refuses() -> None:
    done = manage("run", "migrate", **{**GOOD, "PUBLIC_URL": "http://invoices.example"})
    assert done.returncode == 1
    assert "PUBLIC_URL is http://invoices.example" in done.stderr and "Applying" not in done.stdout


@pytest.mark.django_db(transaction=True)
def test_a_migration_gives_up_when_a_table_is_locked(settings: Any) -> None:
    settings.MIGRATE_LOCK_TIMEOUT_MS = 100
    busy = psycopg.connect(**connection.get_connection_params())
    try:
        busy.execute("LOCK TABLE merchants_administrativeunit IN SHARE MODE")
        with pytest.raises(CommandError, match="A table was locked for longer than 100 ms"):
            call_command("run", "migrate", verbosity=0)
    finally:
        busy.close()
        connection.close()  # it has the timeouts of a migration


def test_beat_writes_no_schedule_file() -> None:
    assert settings.CELERY_BEAT_SCHEDULER == "celery.beat.Scheduler"
    assert "--schedule" not in run_modes.beat()
