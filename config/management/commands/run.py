"""`manage.py run MODE`: starts one of the service's processes and is replaced by it, so that it gets the signals."""

import os
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection
from psycopg.errors import LockNotAvailable

from config.processes import run_modes


class Command(BaseCommand):
    help = "Run one of: api, worker QUEUE…, beat, consumer, migrate."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        mode = parser.add_subparsers(dest="mode", required=True, metavar="MODE")
        mode.add_parser("api", help=f"the HTTP server, on {settings.API_HOST}:{settings.PORT}")
        worker = mode.add_parser("worker", help="one worker for the named queues")
        worker.add_argument(
            "queues", nargs="+", choices=settings.QUEUES, metavar="QUEUE", help=" ".join(settings.QUEUES)
        )
        mode.add_parser("beat", help="the scheduler; one is enough, two do no harm")
        mode.add_parser("consumer", help="the consumer of the platform's Kafka topics")
        mode.add_parser("migrate", help="migrate the tables and load seed data, while everything else runs")

    def handle(self, *_: Any, mode: str, **options: Any) -> None:
        match mode:
            case "api":
                exec_command(run_modes.api(settings.PORT, settings.API_HOST))
            case "worker":
                exec_command(run_modes.worker(options["queues"][0], *options["queues"]))
            case "beat":
                exec_command(run_modes.beat())
            case "consumer":
                exec_command(run_modes.consumer())
            case "migrate":
                migrate()


def exec_command(command: list[str]) -> None:
    os.chdir(settings.ROOT)
    os.execv(command[0], command)  # noqa: S606  (no shell; the process keeps its id, so that SIGTERM reaches it)


def session_timeouts() -> str:
    """For a migration's session: a short wait for locks, no limit for its statements."""
    return f"SET lock_timeout = {settings.MIGRATE_LOCK_TIMEOUT_MS}; SET statement_timeout = 0"


def migrate() -> None:
    """Migrate the tables and load the seed data. In production, refuse what `check --deploy` refuses.

    Raises CommandError if a lock is not free soon. Waiting longer would block every query that comes after it. The
    current migration is then rolled back; run the command again.
    """
    if not settings.DEVELOPMENT:
        call_command("check", deploy=True)
    with connection.cursor() as cursor:
        cursor.execute(session_timeouts())
    try:
        call_command("migrate")
        call_command("loaddata", *run_modes.SEEDS)
    except OperationalError as error:
        if isinstance(error.__cause__, LockNotAvailable):
            raise CommandError(
                f"A table was locked for longer than {settings.MIGRATE_LOCK_TIMEOUT_MS} ms. "
                "The current migration was rolled back; run this again."
            ) from error
        raise
