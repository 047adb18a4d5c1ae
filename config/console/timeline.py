"""One timeline from many tables. Each app adds its part in its `timeline.py`.

A part is a function of the `Subject` that returns its moments; what the reader may not see, it leaves out.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet

from config.base.discovery import offered

CAP = 100  # moments of one table: a longer history is cut where it is oldest, and says so


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An invoice, as told to rooms that may not know its model."""

    invoice_id: int
    order_id: str
    merchant_id: int
    merchant_code: str
    account_id: int | None
    partition: int
    document: str  # the frozen one, canonical JSON; empty before the first take
    since: datetime
    until: datetime
    may: Callable[[str], bool]  # the reader's permissions: "webhooks.view_webhookevent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    at: datetime
    kind: str  # of which table: "audit", "attempt", "request" …
    sentence: str
    why: str = ""
    outcome: str = ""
    actor: str = ""
    facts: dict[str, Any] = field(default_factory=dict)  # what the fold-out shows: names and texts
    link: str = ""

    @property
    def shown(self) -> dict[str, Any]:
        return {name: value for name, value in self.facts.items() if value not in ("", None, "–")}


def read(subject: Subject) -> list[Moment]:
    """All parts in the order of time. As many queries for a long history as for a short one."""
    parts = [entries(subject) for entries in offered("timeline", "entries")]
    return _named(sorted((moment for part in parts for moment in part), key=lambda moment: moment.at))


def newest(rows: QuerySet[Any] | list[Any], tell: Callable[[Any], Moment], *, what: str, link: str) -> list[Moment]:
    """The first CAP of `rows`, which come newest first, in the order of time; a last one says where there are more."""
    found = list(rows[: CAP + 1])
    moments = [tell(row) for row in reversed(found[:CAP])]
    return [earlier(moments[0].at, what, link), *moments] if len(found) > CAP else moments


def earlier(at: datetime, what: str, link: str) -> Moment:
    return Moment(at=at, kind="gap", sentence=f"Earlier {what} are left out here: see all.", link=link)


def _named(moments: Iterable[Moment]) -> list[Moment]:
    told = list(moments)
    names = names_of(moment.actor for moment in told)
    return [replace(moment, actor=names.get(moment.actor, moment.actor)) for moment in told]


def names_of(actors: Iterable[str]) -> dict[str, str]:
    """Users by their names: audit records know them as user:7. Who is no user is not among them."""
    ids = {actor.removeprefix("user:") for actor in actors if actor.startswith("user:")}
    users = User.objects.filter(pk__in=[pk for pk in ids if pk.isdecimal()]).values_list("pk", "username")
    return {f"user:{pk}": name for pk, name in users}
