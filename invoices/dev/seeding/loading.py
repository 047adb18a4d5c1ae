"""COPY into the tables in one transaction and create their indexes afterwards: ten times as fast as row by row."""

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from config.models import CounterSlot
from invoices.dev.seeding.copy_rows import NULL
from invoices.dev.seeding.invoices import IDS, Part, Plan, write_part
from invoices.models import BuyerTerms, Invoice, InvoiceAuditTracing, InvoiceIssuance, InvoiceRequest, Payment

PART = 2000  # invoices that one process writes at a time
FEW = 10_000  # for so few rows it is not worth dropping the indexes
TABLES: list[Any] = [
    *(Invoice, InvoiceAuditTracing, InvoiceIssuance, Payment, InvoiceRequest),
    *(Invoice.history.model, BuyerTerms),
]
OPENED = {  # the values of the history's first version that differ from the invoice's present ones
    "state": "'WAITING'", "number": "''", "code": "''", "lookup_code": "''", "failure": "''", "failure_code": "''",
    "failure_field": "''", "issued_at": "NULL", "exposed_at": "NULL", "exposed_by": "NULL", "claimed_at": "NULL",
    "document_sha256": "''", "audit_seq": "1", "updated_at": "created_at", "correction_owed": "false",
}  # fmt: skip
Progress = Callable[[str, int, int], None]  # phase, done, total


def load(plan: Plan, on_progress: Progress) -> None:
    """Write all rows of a plan in one transaction."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
        # Skip foreign keys and triggers: the rows are consistent by construction.
        cursor.execute("SET LOCAL session_replication_role = replica; SET LOCAL maintenance_work_mem = '512MB'")
        with _without_indexes(plan.count, on_progress):
            _copy(plan, on_progress)
            _copy_histories(plan, on_progress)
            _copy_terms(plan, on_progress)
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        for at, model in enumerate(TABLES):
            on_progress("Statistics", at, len(TABLES))
            cursor.execute(f'VACUUM (ANALYZE) "{model._meta.db_table}"')
        on_progress("Statistics", len(TABLES), len(TABLES))
        cursor.execute("RESET statement_timeout")


def _copy(plan: Plan, on_progress: Progress) -> None:
    counts: Counter[tuple[datetime, str, str]] = Counter()
    for at, part in _parts(plan):
        for model, lines in part.lines.items():
            into = f"COPY \"{model._meta.db_table}\" ({lines.columns}) FROM STDIN WITH (NULL '{NULL}')"
            with connection.cursor() as cursor, cursor.copy(into) as copy:
                copy.write("".join(f"{line}\n" for line in lines.text))
        counts += part.counts
        on_progress("Invoices", min(at + PART, plan.count), plan.count)
    CounterSlot.objects.bulk_create(
        [
            CounterSlot(at=at, name=name, label=label, backend_pid=0, count=count)
            for (at, name, label), count in counts.items()
        ],
        update_conflicts=True,
        unique_fields=["at", "name", "label", "backend_pid"],
        update_fields=["count"],
    )


def _parts(plan: Plan) -> Iterator[tuple[int, Part]]:
    """The parts in order, written by one process per core."""
    starts = range(0, plan.count, PART)
    if len(starts) == 1:
        yield 0, write_part(plan, 0, plan.count)
        return
    with multiprocessing.get_context("fork").Pool(os.cpu_count(), initializer=_begin, initargs=(plan,)) as pool:
        yield from zip(starts, pool.imap(_write, starts), strict=True)


def _begin(plan: Plan) -> None:
    global _plan
    _plan = plan


def _write(start: int) -> Part:
    return write_part(_plan, start, min(start + PART, _plan.count))


_plan: Plan


def _copy_histories(plan: Plan, on_progress: Progress) -> None:
    """Two versions of each invoice: as opened, and as it is now."""
    historical = Invoice.history.model
    own = {"history_id", "history_date", "history_change_reason", "history_type", "history_user"}
    columns = [f.column for f in historical._meta.concrete_fields if f.name not in own]
    names = ", ".join(f'"{column}"' for column in columns)
    opened = ", ".join(OPENED.get(column, f'"{column}"') for column in columns)
    for at, (values, date, kind, why) in enumerate(
        ((opened, "created_at", "+", "opened"), (names, "updated_at", "~", "seeded"))
    ):
        on_progress("Histories", at, 2)
        with connection.cursor() as cursor:
            cursor.execute(
                f'INSERT INTO "{historical._meta.db_table}" '
                f"({names}, history_date, history_type, history_change_reason) "
                f'SELECT {values}, {date}, %s, %s FROM "{Invoice._meta.db_table}" WHERE id BETWEEN %s AND %s',
                [kind, why, *_ids(plan)],
            )
    on_progress("Histories", 2, 2)


def _copy_terms(plan: Plan, on_progress: Progress) -> None:
    """The search terms of buyers, which a trigger writes otherwise."""
    on_progress("Buyers", 0, 1)
    with connection.cursor() as cursor:
        cursor.execute(
            f'INSERT INTO "{BuyerTerms._meta.db_table}" (invoice_id, terms) SELECT id, buyer_terms(buyer) '
            f"FROM \"{Invoice._meta.db_table}\" WHERE id BETWEEN %s AND %s AND buyer <> '{{}}'",
            _ids(plan),
        )
    on_progress("Buyers", 1, 1)


def _ids(plan: Plan) -> list[int]:
    """The lowest and the highest id that the plan's rows can have."""
    return [plan.first, plan.first + ((plan.count * IDS // 4096 + 1) << 22)]


@contextmanager
def _without_indexes(rows: int, on_progress: Progress) -> Iterator[None]:
    """Drop the indexes and create them afterwards, if the seed has more rows than the table."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(reltuples) FROM pg_class WHERE oid = %s::regclass", [Invoice._meta.db_table])
        present = cursor.fetchone()[0] or 0
        names = [model._meta.db_table for model in TABLES]
        cursor.execute(
            """SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index i
               WHERE indrelid = ANY(%s::regclass[]) AND NOT indisprimary AND %s
                 AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid)""",
            [names, rows > max(present, FEW)],
        )
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
        yield
        for at, (_, definition) in enumerate(indexes):
            on_progress("Indexes", at, len(indexes))
            cursor.execute(definition)
        on_progress("Indexes", len(indexes), len(indexes))
