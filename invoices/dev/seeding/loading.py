"""COPY into the tables, all or nothing, with their indexes made afterwards: ten times as fast as row by row."""

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from config.models import CounterSlot
from invoices.dev.seeding.lines import NULL
from invoices.dev.seeding.story import IDS, Part, Plan, write
from invoices.models import BuyerTerms, Invoice, InvoiceAuditTracing, InvoiceIssuance, InvoiceRequest, Payment

PART = 2000  # invoices that one process writes at a time
FEW = 10_000  # so many rows are put in as quickly with their indexes
TABLES: list[Any] = [
    *(Invoice, InvoiceAuditTracing, InvoiceIssuance, Payment, InvoiceRequest),
    *(Invoice.history.model, BuyerTerms),
]
OPENED = {  # what the history's first row of an invoice said, where it is not what the invoice says now
    "state": "'WAITING'", "number": "''", "code": "''", "lookup_code": "''", "failure": "''", "failure_code": "''",
    "failure_field": "''", "issued_at": "NULL", "exposed_at": "NULL", "exposed_by": "NULL", "claimed_at": "NULL",
    "document_sha256": "''", "audit_seq": "1", "updated_at": "created_at", "correction_owed": "false",
}  # fmt: skip
Progress = Callable[[str, int, int], None]  # what is done, how much of it, of how much


def load(plan: Plan, told: Progress) -> None:
    """Write everything that a plan says, in one transaction."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
        # Neither foreign keys nor triggers are looked at row by row: what is written is right by construction.
        cursor.execute("SET LOCAL session_replication_role = replica; SET LOCAL maintenance_work_mem = '512MB'")
        with _without_indexes(plan.count, told):
            _copy(plan, told)
            _histories(plan, told)
            _terms(plan, told)
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        for at, model in enumerate(TABLES):
            told("Statistics", at, len(TABLES))
            cursor.execute(f'VACUUM (ANALYZE) "{model._meta.db_table}"')
        told("Statistics", len(TABLES), len(TABLES))
        cursor.execute("RESET statement_timeout")


def _copy(plan: Plan, told: Progress) -> None:
    counts: Counter[tuple[datetime, str, str]] = Counter()
    for at, part in _parts(plan):
        for model, lines in part.lines.items():
            into = f"COPY \"{model._meta.db_table}\" ({lines.columns}) FROM STDIN WITH (NULL '{NULL}')"
            with connection.cursor() as cursor, cursor.copy(into) as copy:
                copy.write("".join(f"{line}\n" for line in lines.text))
        counts += part.counts
        told("Invoices", min(at + PART, plan.count), plan.count)
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
    """Written by as many processes as there are cores, handed over in their order."""
    starts = range(0, plan.count, PART)
    if len(starts) == 1:
        yield 0, write(plan, 0, plan.count)
        return
    with multiprocessing.get_context("fork").Pool(os.cpu_count(), initializer=_begin, initargs=(plan,)) as pool:
        yield from zip(starts, pool.imap(_write, starts), strict=True)


def _begin(plan: Plan) -> None:
    global _plan
    _plan = plan


def _write(start: int) -> Part:
    return write(_plan, start, min(start + PART, _plan.count))


_plan: Plan


def _histories(plan: Plan, told: Progress) -> None:
    """Two versions of each invoice: as it was opened, and as it is."""
    historical = Invoice.history.model
    own = {"history_id", "history_date", "history_change_reason", "history_type", "history_user"}
    columns = [f.column for f in historical._meta.concrete_fields if f.name not in own]
    names = ", ".join(f'"{column}"' for column in columns)
    opened = ", ".join(OPENED.get(column, f'"{column}"') for column in columns)
    for at, (values, date, kind, why) in enumerate(
        ((opened, "created_at", "+", "opened"), (names, "updated_at", "~", "seeded"))
    ):
        told("Histories", at, 2)
        with connection.cursor() as cursor:
            cursor.execute(
                f'INSERT INTO "{historical._meta.db_table}" '
                f"({names}, history_date, history_type, history_change_reason) "
                f'SELECT {values}, {date}, %s, %s FROM "{Invoice._meta.db_table}" WHERE id BETWEEN %s AND %s',
                [kind, why, *_ids(plan)],
            )
    told("Histories", 2, 2)


def _terms(plan: Plan, told: Progress) -> None:
    """What buyers are found by, which a trigger would have written."""
    told("Buyers", 0, 1)
    with connection.cursor() as cursor:
        cursor.execute(
            f'INSERT INTO "{BuyerTerms._meta.db_table}" (invoice_id, terms) SELECT id, buyer_terms(buyer) '
            f"FROM \"{Invoice._meta.db_table}\" WHERE id BETWEEN %s AND %s AND buyer <> '{{}}'",
            _ids(plan),
        )
    told("Buyers", 1, 1)


def _ids(plan: Plan) -> list[int]:
    """The first and the last that its rows can have."""
    return [plan.first, plan.first + ((plan.count * IDS // 4096 + 1) << 22)]


@contextmanager
def _without_indexes(rows: int, told: Progress) -> Iterator[None]:
    """Making an index of a million rows is quicker than a million times putting one in, where the table is small."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(reltuples) FROM pg_class WHERE oid = %s::regclass", [Invoice._meta.db_table])
        there = cursor.fetchone()[0] or 0
        names = [model._meta.db_table for model in TABLES]
        cursor.execute(
            """SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index i
               WHERE indrelid = ANY(%s::regclass[]) AND NOT indisprimary AND %s
                 AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid)""",
            [names, rows > max(there, FEW)],
        )
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
        yield
        for at, (_, definition) in enumerate(indexes):
            told("Indexes", at, len(indexes))
            cursor.execute(definition)
        told("Indexes", len(indexes), len(indexes))
