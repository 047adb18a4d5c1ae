"""System checks: is this process who the database thinks it is?"""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connections


@register(Tags.database)
def worker_id_matches(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    if not databases or "default" not in databases:
        return []
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT to_regprocedure('snowflake_worker()') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return []  # not migrated yet
        cursor.execute("SELECT snowflake_worker()")
        written = cursor.fetchone()[0]
    if written == settings.WORKER_ID:
        return []
    return [
        Error(
            f"The database makes ids as worker {written}, this process is worker {settings.WORKER_ID}.",
            hint="Set APP_ENV_INVOICE_WORKER_ID to the database's number, or run migrate to write the new one.",
            id="hoadon.E001",
        )
    ]
