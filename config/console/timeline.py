"""An invoice's timeline, assembled from the tables of all apps.

Each app's `timeline.py` has a function `entries(context)`, which omits what the reader may not see.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet

from config.base.discovery import app_parts

MAX_ENTRIES = 100  # per table, the newest; a link replaces the others


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineContext:
    """The invoice and its reader, for apps that cannot import the invoice's model."""

    invoice_id: int
    order_id: str
    merchant_id: int
    merchant_code: str
    account_id: int | None
    partition: int
    document: str  # as stored at the first take, canonical JSON; empty before that
    since: datetime
    until: datetime
    has_perm: Callable[[str], bool]  # of the reader: "webhooks.view_webhookevent"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry:
    at: datetime
    kind: str  # "audit", "attempt", "request" …; "gap" is a link to older entries
    sentence: str
    reason: str = ""
    outcome: str = ""
    actor: str = ""
    details: dict[str, Any] = field(default_factory=dict)  # name and text, shown when the entry is expanded
    link: str = ""

    @property
    def shown_details(self) -> dict[str, Any]:
        return {name: value for name, value in self.details.items() if value not in ("", None, "–")}


def collect_entries(context: TimelineContext) -> list[TimelineEntry]:
    """The entries of all apps in chronological order, with a constant number of queries."""
    entries = [entry for entries_of_app in app_parts("timeline", "entries") for entry in entries_of_app(context)]
    return _with_user_names(sorted(entries, key=lambda entry: entry.at))


def newest_entries(
    rows: QuerySet[Any] | list[Any], to_entry: Callable[[Any], TimelineEntry], *, what: str, link: str
) -> list[TimelineEntry]:
    """The newest MAX_ENTRIES of `rows`, in chronological order. `link` leads to the rest. Needs `rows` newest first."""
    newest = list(rows[: MAX_ENTRIES + 1])
    entries = [to_entry(row) for row in reversed(newest[:MAX_ENTRIES])]
    return [gap_entry(entries[0].at, what, link), *entries] if len(newest) > MAX_ENTRIES else entries


def gap_entry(at: datetime, what: str, link: str) -> TimelineEntry:
    """The link that replaces older entries. `what` is their name in the plural."""
    return TimelineEntry(at=at, kind="gap", sentence=f"Earlier {what} are not shown. See all.", link=link)


def _with_user_names(entries: list[TimelineEntry]) -> list[TimelineEntry]:
    names = user_names(entry.actor for entry in entries)
    return [replace(entry, actor=names.get(entry.actor, entry.actor)) for entry in entries]


def user_names(actors: Iterable[str]) -> dict[str, str]:
    """User names by actor ("user:7"). Actors that are not users are omitted."""
    ids = {actor.removeprefix("user:") for actor in actors if actor.startswith("user:")}
    users = User.objects.filter(pk__in=[pk for pk in ids if pk.isdecimal()]).values_list("pk", "username")
    return {f"user:{pk}": name for pk, name in users}
