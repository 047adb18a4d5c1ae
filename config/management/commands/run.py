"""`manage.py run MODE`: what the image runs. The process becomes the server, the worker or beat: signals go to it."""

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
        mode.add_parser("api", help=f"the HTTP server, at {settings.API_HOST}:{settings.PORT}")
        worker = mode.add_parser("worker", help="one slot of work, from the queues that are named")
        worker.add_argument(
            "queues", nargs="+", choices=settings.QUEUES, metavar="QUEUE", help=" ".join(settings.QUEUES)
        )
        mode.add_parser("beat", help="the alarm clock; one is enough, two do no harm")
        mode.add_parser("consumer", help="follow the platform's Kafka topics")
        mode.add_parser("migrate", help="tables and seed data, while everything else runs; then it ends")

    def handle(self, *_: Any, mode: str, **options: Any) -> None:
        match mode:
            case "api":
                become(run_modes.api(settings.PORT, settings.API_HOST))
            case "worker":
                become(run_modes.worker(options["queues"][0], *options["queues"]))
            case "beat":
                become(run_modes.beat())
            case "consumer":
                become(run_modes.consumer())
            case "migrate":
                migrate()


def become(command: list[str]) -> None:
    os.chdir(settings.ROOT)
    os.execv(command[0], command)  # noqa: S606  (no shell; the process keeps its id, so that SIGTERM finds it)


def patience() -> str:
    """Of a migration's session: short for locks, without an end for what it does with them."""
    return f"SET lock_timeout = {settings.MIGRATE_LOCK_TIMEOUT_MS}; SET statement_timeout = 0"


def migrate() -> None:
    """Tables and seeds. A lock that is not to be had soon is given up, so that nobody queues up behind us.

    Raises CommandError where that happened: nothing is half done, run it again. In production it refuses what
    `check --deploy` refuses.
    """
    if not settings.DEVELOPMENT:
        call_command("check", deploy=True)
    with connection.cursor() as cursor:
        cursor.execute(patience())
    try:
        call_command("migrate")
        call_command("loaddata", *run_modes.SEEDS)
    except OperationalError as error:
        if isinstance(error.__cause__, LockNotAvailable):
            raise CommandError(
                f"Somebody held a table for longer than {settings.MIGRATE_LOCK_TIMEOUT_MS} ms. "
                "The migration at hand was rolled back; run this again."
            ) from error
        raise
