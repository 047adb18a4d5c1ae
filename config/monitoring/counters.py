"""Counts of events in five-minute slots. The numbers of a day are read from these slots, not from the day's rows.

Each database connection has its own rows, so that two workers never wait for each other's count.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from django.db import connection, transaction

from config.base import clock
from config.models import CounterSlot

SLOT = timedelta(minutes=5)
LONGEST_TRANSACTION = timedelta(minutes=10)  # more than any transaction that counts
RETENTION = timedelta(days=8)  # today, and the same day a week ago

COUNT = """
INSERT INTO config_counterslot (at, name, label, backend_pid, count)
SELECT %s, name, label, pg_backend_pid(), count
FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS new(name, label, count)
ON CONFLICT (at, name, label, backend_pid) DO UPDATE SET count = config_counterslot.count + EXCLUDED.count
"""

SINCE = """
SELECT name, label, sum(count)::bigint FROM config_counterslot WHERE at >= %s AND name = ANY(%s) GROUP BY name, label
"""

BY_TIME = """
SELECT date_bin(%s::interval, at, %s), name, label, sum(count)::bigint FROM config_counterslot
WHERE at >= %s AND name = ANY(%s) GROUP BY 1, 2, 3
"""

# Folded and unfolded counts in one snapshot, so that none is missing or counted twice.
TOTALS = """
SELECT name, label, sum(count)::bigint FROM (
    SELECT name, label, count FROM config_countertotal
    UNION ALL
    SELECT name, label, count FROM config_counterslot
    WHERE at >= (SELECT coalesce(max(until), '-infinity') FROM config_countertotal)
) AS counted GROUP BY 1, 2
"""

FOLD = """
INSERT INTO config_countertotal (name, label, count, until)
SELECT name, label, sum(count), %(until)s FROM config_counterslot
WHERE at >= (SELECT coalesce(max(until), '-infinity') FROM config_countertotal) AND at < %(until)s
GROUP BY 1, 2
ON CONFLICT (name, label) DO UPDATE
SET count = config_countertotal.count + EXCLUDED.count, until = EXCLUDED.until
"""


def count(counts: Mapping[tuple[str, str], int]) -> None:
    """Add counts by (name, label): one statement, in the transaction of what is counted."""
    if not counts:
        return
    names, labels = zip(*counts, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(COUNT, [slot_start(clock.now()), list(names), list(labels), list(counts.values())])


def count_since(at: datetime, names: Iterable[str]) -> dict[tuple[str, str], int]:
    """Counts by (name, label) from the start of the slot that holds `at`: up to five minutes more than requested."""
    with connection.cursor() as cursor:
        cursor.execute(SINCE, [slot_start(at), list(names)])
        return {(name, label): number for name, label, number in cursor.fetchall()}


def counts_by_time(since: datetime, step: timedelta, names: Iterable[str]) -> list[tuple[datetime, str, str, int]]:
    """(start of the step, name, label, count); the first step starts at `since`."""
    with connection.cursor() as cursor:
        cursor.execute(BY_TIME, [f"{step.total_seconds():.0f} s", since, since, list(names)])
        return cursor.fetchall()


def totals() -> dict[tuple[str, str], int]:
    """Counts by (name, label) since the first start: the totals, and the slots that are not folded yet."""
    with connection.cursor() as cursor:
        cursor.execute(TOTALS)
        return {(name, label): number for name, label, number in cursor.fetchall()}


def fold() -> None:
    """Add finished slots to the totals. No open transaction can still count in a slot LONGEST_TRANSACTION old."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE config_countertotal IN SHARE ROW EXCLUSIVE MODE")  # two at once would count twice
        cursor.execute(FOLD, {"until": slot_start(clock.now() - LONGEST_TRANSACTION)})


def slot_start(at: datetime) -> datetime:
    return at - timedelta(seconds=at.timestamp() % SLOT.total_seconds())


def prune() -> int:
    """Delete the slots that no gauge reads any more. Returns their number."""
    return CounterSlot.objects.filter(at__lt=clock.now() - RETENTION).delete()[0]
