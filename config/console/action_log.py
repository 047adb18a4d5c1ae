"""The log of operator actions: who did what to which row, when and why. Kept in Django's LogEntry."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, QuerySet

from config.base import clock

MAX_LINES = 100  # shown between two versions of a row
ACTION_FLAG = 4  # Django uses 1 to 3, for what its forms add, change and delete


class ActionLine(NamedTuple):
    """A LogEntry, parsed."""

    at: datetime
    user_id: int
    row: int
    label: str
    reason: str
    result: str


def write(user_id: int, row: Model, message: str) -> None:
    """`message` is "label: reason – result", as in "Probe: the vendor says so – it works"."""
    LogEntry.objects.create(
        user_id=user_id,
        content_type=ContentType.objects.get_for_model(row),
        object_id=str(row.pk),
        object_repr=str(row)[:200],
        action_flag=ACTION_FLAG,
        change_message=message,
        action_time=clock.now(),
    )


def lines_of(model: type[Model], ids: Iterable[int]) -> QuerySet[LogEntry]:
    """The actions on some rows of a model, newest first. Uses the index actions_of_row."""
    rows = {"content_type": ContentType.objects.get_for_model(model), "object_id__in": [str(pk) for pk in ids]}
    return LogEntry.objects.filter(**rows, action_flag=ACTION_FLAG).order_by("-action_time", "-id")


def parse(line: LogEntry) -> ActionLine:
    label, _, rest = line.change_message.partition(": ")
    reason, _, result = rest.rpartition(" – ")
    return ActionLine(
        at=line.action_time,
        user_id=line.user_id,
        row=int(line.object_id or 0),
        label=label,
        reason=reason or result,
        result=result if reason else "",
    )
