"""Bulk runs, as operators see them: one verb for all invoices of a filtered list. `bulk_worker` does the work."""

from collections.abc import Sequence

from django.db import connection, transaction
from django.db.models import Count, QuerySet

from config.base import clock
from invoices.models import BulkItem, BulkRun, Invoice

MAX_INVOICES = 100_000  # of one run
MAX_REASONS = 50  # that the run's page lists


class TooMany(Exception):
    """The list holds more invoices than one run may."""


def create_run(verb: str, invoices: QuerySet[Invoice], *, user_id: int, selection: str) -> BulkRun:
    """Store which invoices a run is about, as the list is now. Raises TooMany."""
    run = BulkRun(verb=verb, user_id=user_id, selection=selection)
    sql, values = invoices.order_by().values("pk")[: MAX_INVOICES + 1].query.sql_with_params()
    with transaction.atomic():
        run.save()
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO invoices_bulkitem (run_id, invoice_id, outcome, why) "
                f"SELECT %s, id, '', '' FROM ({sql}) AS selected(id) ORDER BY id ON CONFLICT DO NOTHING",
                [run.pk, *values],
            )
            if cursor.rowcount > MAX_INVOICES:
                raise TooMany(f"These are more than {MAX_INVOICES:,} invoices. Narrow the list first.")
    return run


def confirm(run: BulkRun, *, user_id: int, reason: str) -> bool:
    """Start a run that waits for confirmation. False where it was not waiting."""
    ready = BulkRun.objects.filter(pk=run.pk, state=BulkRun.State.READY)
    now = clock.now()
    state = BulkRun.State.RUNNING
    return bool(ready.update(state=state, user_id=user_id, reason=reason, started_at=now, updated_at=now))


def abort(run: BulkRun) -> bool:
    """Start no further item. What is done stays done. False where the run had ended."""
    unfinished = BulkRun.objects.filter(pk=run.pk).exclude(state__in=[BulkRun.State.DONE, BulkRun.State.ABORTED])
    return bool(unfinished.update(state=BulkRun.State.ABORTED, ended_at=clock.now(), updated_at=clock.now()))


def count_reasons(items: QuerySet[BulkItem]) -> Sequence[tuple[str, int]]:
    """Each reason and its count, the most frequent first; those beyond MAX_REASONS in one entry."""
    counted = items.order_by().values_list("why").annotate(count=Count("id")).order_by("-count", "why")
    first = list(counted[: MAX_REASONS + 1])
    if len(first) <= MAX_REASONS:
        return first
    del first[MAX_REASONS:]
    return [*first, ("other reasons", items.count() - sum(count for _, count in first))]
