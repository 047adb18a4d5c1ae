"""How often something happened, in slots of five minutes: what a day's figures are read from instead of its rows.

Each database connection adds to rows of its own, so two workers never wait for each other's count.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from django.db import connection, transaction

from config.base import clock
from config.models import Tally

SLOT = timedelta(minutes=5)
LATEST = timedelta(minutes=10)  # no transaction that counts is open for longer
KEPT = timedelta(days=8)  # today, and the same day a week ago

ADD = """
INSERT INTO config_tally (at, name, label, teller, count)
SELECT %s, name, label, pg_backend_pid(), count
FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS new(name, label, count)
ON CONFLICT (at, name, label, teller) DO UPDATE SET count = config_tally.count + EXCLUDED.count
"""

SUM = """
SELECT name, label, sum(count)::bigint FROM config_tally WHERE at >= %s AND name = ANY(%s) GROUP BY name, label
"""

BY_TIME = """
SELECT date_bin(%s::interval, at, %s), name, label, sum(count)::bigint FROM config_tally
WHERE at >= %s AND name = ANY(%s) GROUP BY 1, 2, 3
"""


# What is folded away and what is not, in one snapshot: no count is told twice or left out.
TOTALS = """
SELECT name, label, sum(count)::bigint FROM (
    SELECT name, label, count FROM config_total
    UNION ALL
    SELECT name, label, count FROM config_tally
    WHERE at >= (SELECT coalesce(max(until), '-infinity') FROM config_total)
) AS counted GROUP BY 1, 2
"""

FOLD = """
INSERT INTO config_total (name, label, count, until)
SELECT name, label, sum(count), %(until)s FROM config_tally
WHERE at >= (SELECT coalesce(max(until), '-infinity') FROM config_total) AND at < %(until)s
GROUP BY 1, 2
ON CONFLICT (name, label) DO UPDATE SET count = config_total.count + EXCLUDED.count, until = EXCLUDED.until
"""


def add(counts: Mapping[tuple[str, str], int]) -> None:
    """Count by (name, label): one statement, in the transaction of what is counted."""
    if not counts:
        return
    names, labels = zip(*counts, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(ADD, [slot(clock.now()), list(names), list(labels), list(counts.values())])


def count_since(at: datetime, names: Iterable[str]) -> dict[tuple[str, str], int]:
    """By (name, label), from the slot of an instant on: up to five minutes more than were asked for."""
    with connection.cursor() as cursor:
        cursor.execute(SUM, [slot(at), list(names)])
        return {(name, label): count for name, label, count in cursor.fetchall()}


def by_time(since: datetime, step: timedelta, names: Iterable[str]) -> list[tuple[datetime, str, str, int]]:
    """(begin of the step, name, label, count), steps counted from `since`."""
    with connection.cursor() as cursor:
        cursor.execute(BY_TIME, [f"{step.total_seconds():.0f} s", since, since, list(names)])
        return cursor.fetchall()


def totals() -> dict[tuple[str, str], int]:
    """Ever, by (name, label): what counters show. Reads the totals and the slots since they were last written."""
    with connection.cursor() as cursor:
        cursor.execute(TOTALS)
        return {(name, label): count for name, label, count in cursor.fetchall()}


def fold() -> None:
    """Add the slots that are over to the totals. A transaction that counted in one has long ended after LATEST."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE config_total IN SHARE ROW EXCLUSIVE MODE")  # two at once would count twice
        cursor.execute(FOLD, {"until": slot(clock.now() - LATEST)})


def slot(at: datetime) -> datetime:
    return at - timedelta(seconds=at.timestamp() % SLOT.total_seconds())


def forget() -> int:
    """Remove what no figure reads any more."""
    return Tally.objects.filter(at__lt=clock.now() - KEPT).delete()[0]
