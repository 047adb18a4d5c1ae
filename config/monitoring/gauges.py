"""Gauges: measured values that the home page, /metrics and the alerts all read.

Each app defines its own in its `metrics.py`. Every query there uses an index, and its cost grows with the open work,
never with history.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.db import connection
from django.urls import reverse

from config.base.discovery import app_parts

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gauge:
    """A number, or one number per combination of label values. `name` is the name in /metrics without `hoadon_`."""

    name: str
    help: str
    labels: Labels = ()  # names
    values: Mapping[Any, float] = field(default_factory=dict)  # by label values; the key is () without labels
    link: str = ""  # to the console's list of the rows that are counted
    links: Mapping[Any, str] = field(default_factory=dict)  # the same, filtered to one combination
    combinations: Iterable[Any] = ()  # that /metrics exports as 0 when they have no value: alerts need the 0

    @property
    def total(self) -> float:
        return sum(self.values.values())

    def value_of(self, *labels: str) -> float:
        """The value of one combination; 0 if it has none."""
        return self.values.get(labels, 0)

    def link_of(self, *labels: str) -> str:
        return self.links.get(labels, self.link)


def collect_gauges() -> dict[str, Gauge]:
    """All gauges by name, in the order of the apps. The number of queries is fixed."""
    return {gauge.name: gauge for gauges_of_app in app_parts("metrics", "gauges") for gauge in gauges_of_app()}


def scalar_gauge(name: str, help: str, value: float, link: str = "") -> Gauge:
    """A gauge without labels."""
    return Gauge(name, help, values={(): value}, link=link)


def changelist_url(model: str, **filters: Any) -> str:
    """The address of a list in the console: changelist_url("invoices_invoice", state__exact="FAILED")."""
    url = reverse(f"admin:{model}_changelist")
    return f"{url}?{urlencode(filters)}" if filters else url


def fetch_rows(sql: str, parameters: Mapping[str, Any] | Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()
