"""Prints the identity of this process and the servers that it uses, without any secret."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import DatabaseError, connection

from config.base.ids import written_worker_id


class Command(BaseCommand):
    help = "Print the service code, port, worker id, Kafka consumer id, database and Redis of this process."
    requires_system_checks = []  # it must run when something is wrong

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            written = written_worker_id()
            database = "not migrated yet" if written is None else str(written)
        except DatabaseError as error:
            database = f"not reached ({type(error).__name__})"
        values = {
            "service code": settings.SERVICE_CODE,
            "environment": settings.ENVIRONMENT,
            "port": settings.PORT,
            "public url": settings.PUBLIC_URL,
            "worker id": f"{settings.WORKER_ID} (database: {database})",
            "kafka consumer": settings.KAFKA_CONSUMER_ID,
            "database": _database(),
            "redis": _redis(),
        }
        for name, value in values.items():
            self.stdout.write(f"{name:<16}{value}")


def _database() -> str:
    options = connection.settings_dict
    host = str(options["HOST"] or options["OPTIONS"].get("host", "localhost"))
    return f"{options['NAME']} at {_address(host, options['PORT'] or 5432)}"


def _redis() -> str:
    url = urlsplit(settings.REDIS_URL)
    number = parse_qs(url.query).get("db", [url.path.strip("/") if url.hostname else ""])[0] or "0"
    return f"{number} at {_address(url.hostname or url.path, url.port or 6379)}"


def _address(host: str, port: int | str) -> str:
    if not host.startswith("/"):
        return f"{host}:{port}"
    return f"{host} ({'embedded' if host.startswith(str(settings.LOCAL.resolve())) else 'a socket'})"
