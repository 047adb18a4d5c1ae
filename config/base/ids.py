"""64-bit ids made by PostgreSQL: milliseconds, worker id, sequence."""

from django.db import connection, connections, models
from django.db.models.expressions import Func


class Snowflake(Func):
    """A 64-bit id made by PostgreSQL: milliseconds, worker id, sequence."""

    function = "snowflake"
    arity = 0
    output_field = models.BigIntegerField()


def new_ids(count: int) -> list[int]:
    """A block of ids for a batch, by one statement."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT snowflake() FROM generate_series(1, %s)", [count])
        return [row[0] for row in cursor.fetchall()]


def written_worker_id() -> int | None:
    """The worker id that `migrate` wrote into the database; None before the first migration."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT to_regprocedure('snowflake_worker()') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return None
        cursor.execute("SELECT snowflake_worker()")
        return cursor.fetchone()[0]
