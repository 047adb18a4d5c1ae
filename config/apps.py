from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.contrib.admin import apps as admin
from django.db import connections
from django.db.models.signals import post_migrate


class ConsoleApp(admin.AdminConfig):
    """Django's admin app, with our admin site."""

    default = False  # INSTALLED_APPS names it explicitly
    default_site = "config.console.site.Console"


class ConfigApp(AppConfig):
    name = "config"
    default = True

    def ready(self) -> None:
        from config import checks  # noqa: F401  (registers the checks)

        post_migrate.connect(write_worker_id, sender=self)


def write_worker_id(using: str, **_: Any) -> None:
    """Tell the database our worker id, because the database makes the ids."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            f"CREATE OR REPLACE FUNCTION snowflake_worker() RETURNS bigint LANGUAGE sql IMMUTABLE "
            f"AS 'SELECT {settings.WORKER_ID}::bigint'"
        )
