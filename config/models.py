"""What every row of ours has, and the key-value table that operators may turn."""

from collections.abc import Iterable, Sequence
from typing import Any, Self, TypeVar

from django.db import connection, models
from django.db.models.expressions import Func
from simple_history.models import HistoricalRecords

from config import clock, crypto


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


def update_rows(rows: Sequence[models.Model], names: Iterable[str]) -> None:
    """Write some fields of rows of one model: UPDATE … FROM unnest, one statement, one array a column.

    Django's bulk_update writes a CASE for each row and column, which costs ten times the CPU.
    """
    if not rows:
        return
    meta, wanted = rows[0]._meta, set(names)
    arrays, casts, assignments, columns = [[row.pk for row in rows]], ["%s::bigint[]"], [], ["id"]
    for f in (f for f in meta.concrete_fields if f.name in wanted):
        arrays.append([f.get_db_prep_save(getattr(row, f.attname), connection) for row in rows])
        kind = f.rel_db_type(connection) if f.is_relation else f.db_type(connection)
        casts.append(f"%s::{kind}[]")
        assignments.append(f'"{f.column}" = new."{f.column}"')
        columns.append(f'"{f.column}"')
    with connection.cursor() as cursor:
        cursor.execute(
            f'UPDATE "{meta.db_table}" AS old SET {", ".join(assignments)} '
            f"FROM unnest({', '.join(casts)}) AS new({', '.join(columns)}) WHERE old.id = new.id",
            arrays,
        )


T = TypeVar("T", bound=models.Model, covariant=True)


class Rows(models.QuerySet[T]):
    def living(self) -> Self:
        """The rows that were not deleted."""
        return self.filter(deleted_at=None)


class Record(models.Model):
    id = models.BigIntegerField(primary_key=True, db_default=Snowflake(), editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    updated_at = models.DateTimeField(default=clock.now, editable=False)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = Rows.as_manager()

    class Meta:
        abstract = True
        base_manager_name = "objects"

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.updated_at = self._history_date = clock.now()  # simple-history would read the machine's clock
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Rows are kept for ever: deleting one hides it."""
        self.deleted_at = clock.now()
        self.save(update_fields=["deleted_at", "updated_at"])
        return 1, {self._meta.label: 1}

    def remove(self, why: str) -> None:
        """Delete, and tell the history why."""
        self._change_reason = why[:100]
        self.delete()


class Configuration(Record):
    """One setting that operators may change while we run. A secret one is sealed and never shown."""

    key = models.CharField(max_length=100, unique=True)
    value = models.TextField(blank=True)
    is_secret = models.BooleanField(default=False)
    description = models.TextField(blank=True)
    history = HistoricalRecords(excluded_fields=["value"])
    seed_only = True  # see loaddata

    class Meta:
        verbose_name = "setting"

    def __str__(self) -> str:
        return self.key

    @property
    def place(self) -> str:
        return f"config.configuration:{self.pk}:value"

    def read(self) -> str:
        return crypto.unseal(self.value, self.place) if self.is_secret else self.value

    def write(self, value: str) -> None:
        """Keep a value, sealed where it is secret."""
        if not isinstance(self.pk, int):
            self.pk = new_ids(1)[0]
        self.value = crypto.seal(value, self.place) if self.is_secret else value
        self.save()


class Total(models.Model):
    """How often something happened, ever: what the tallies of slots that are over came to (see tallies)."""

    pk = models.CompositePrimaryKey("name", "label")
    name = models.CharField(max_length=20)
    label = models.CharField(max_length=60)
    count = models.BigIntegerField()
    until = models.DateTimeField(db_index=True)  # the tallies from here on are not in it


class SignInTries(models.Model):
    """How often one user name or one address failed to sign in (see signin)."""

    mark = models.CharField(primary_key=True, max_length=8)
    tries = models.IntegerField()
    until = models.DateTimeField(db_index=True)  # then it is forgotten


class Tally(models.Model):
    """How often something happened in five minutes, as one database connection counted it (see tallies)."""

    pk = models.CompositePrimaryKey("at", "name", "label", "teller")
    at = models.DateTimeField()
    name = models.CharField(max_length=20)
    label = models.CharField(max_length=60)
    teller = models.IntegerField()
    count = models.BigIntegerField()
