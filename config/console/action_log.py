"""What operators did to rows: who, when, which act and why, one line an act in the log that Django keeps."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, QuerySet

from config.base import clock

MOST = 100  # lines of one row between two of its versions that its page shows
ACTED = 4  # beside Django's own flags of what was typed into forms


class Acted(NamedTuple):
    """A line, taken apart."""

    at: datetime
    user_id: int
    row: int
    label: str
    reason: str
    what: str


def log(user_id: int, row: Model, message: str) -> None:
    """A message is the act's label, the reason and what has happened: "Probe: they say so – it works"."""
    LogEntry.objects.create(
        user_id=user_id,
        content_type=ContentType.objects.get_for_model(row),
        object_id=str(row.pk),
        object_repr=str(row)[:200],
        action_flag=ACTED,
        change_message=message,
        action_time=clock.now(),
    )


def lines(model: type[Model], ids: Iterable[int]) -> QuerySet[LogEntry]:
    """The acts on some rows of a model, the newest first. Served by the index of migration 0007."""
    of = {"content_type": ContentType.objects.get_for_model(model), "object_id__in": [str(pk) for pk in ids]}
    return LogEntry.objects.filter(**of, action_flag=ACTED).order_by("-action_time", "-id")


def read(line: LogEntry) -> Acted:
    label, _, rest = line.change_message.partition(": ")
    reason, _, what = rest.rpartition(" – ")
    return Acted(
        line.action_time, line.user_id, int(line.object_id or 0), label, reason or what, what if reason else ""
    )
