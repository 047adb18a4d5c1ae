"""The figures that the home page, /metrics and the alerts show: counted in one place, told three ways.

Each app counts its own in its `metrics.py`. Every query there is served by an
index and grows with the work that is open, never with what is done.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.db import connection
from django.urls import reverse

from config.base.discovery import offered

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """A number, or one for each combination of labels. `name` is that of /metrics without its `hoadon_`."""

    name: str
    help: str
    labels: Labels = ()  # their names
    values: Mapping[Any, float] = field(default_factory=dict)  # by the labels' values: () where there are none
    link: str = ""  # the console's list of what is counted
    links: Mapping[Any, str] = field(default_factory=dict)  # the same, narrowed to one combination
    every: Iterable[Any] = ()  # combinations that /metrics tells though nothing was counted: an alert needs a 0

    @property
    def total(self) -> float:
        return sum(self.values.values())

    def of(self, *labels: str) -> float:
        """The value of one combination; 0 where nothing was counted."""
        return self.values.get(labels, 0)

    def link_of(self, *labels: str) -> str:
        return self.links.get(labels, self.link)


def read() -> dict[str, Figure]:
    """All figures by name, in the order of the rooms and in a fixed number of queries."""
    figures = [figure for gauges in offered("metrics", "gauges") for figure in gauges()]
    return {figure.name: figure for figure in figures}


def one(name: str, help: str, value: float, link: str = "") -> Figure:
    """A figure without labels."""
    return Figure(name, help, values={(): value}, link=link)


def listed(model: str, **filters: Any) -> str:
    """The address of a list in the console: listed("invoices_invoice", state__exact="FAILED")."""
    address = reverse(f"admin:{model}_changelist")
    return f"{address}?{urlencode(filters)}" if filters else address


def rows(sql: str, parameters: Mapping[str, Any] | Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()
