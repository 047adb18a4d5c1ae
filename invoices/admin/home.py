"""The console's home page: the state of the day. Every number links to its rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest

from config.base import clock
from config.monitoring import counters
from config.monitoring.gauges import Gauge, Labels, collect_gauges
from invoices.admin import charts
from invoices.counters import COUNTED_ENDS
from invoices.lifecycle import State
from invoices.worklists import OPEN_STATES

CHART_STEP = timedelta(minutes=30)
CLEAR, WARN, ALARM = "clear", "warn", "alarm"
LATE = {  # seconds after the due time for WARN and ALARM; the tax authority may take an hour for SUBMITTED
    State.WAITING: (60, 600),
    State.QUEUED: (60, 300),
    State.SENDING: (120, 600),
    State.UNCERTAIN: (900, 7200),
    State.SUBMITTED: (3600, 86400),
}
VAT_CHANGE_DAYS = (30, 7)  # before the VAT rates change, for WARN and ALARM


@dataclass(frozen=True, slots=True)
class TileSpec:
    gauge: str
    title: str
    warn: float | None = None  # the lowest value of this level
    alarm: float | None = None
    labels: Labels = ()  # only the gauge's values whose labels begin with these
    threshold_gauge: str = ""  # the gauge that is compared with `warn` and `alarm`, if it is another one


@dataclass(frozen=True, slots=True)
class Tile:
    title: str
    text: str
    level: str
    link: str
    help: str
    parts: list[tuple[str, str, str]] = field(default_factory=list)  # labels, number, link


class VatChange(NamedTuple):
    date: str  # ISO
    days: int  # until that date
    level: str
    link: str


TILES = {
    "Needs attention": [
        TileSpec("invoices_failed", "Dead letters", alarm=1),
        TileSpec("webhooks_not_applied", "Refused payments", alarm=1, labels=("refused", "payment.succeeded")),
        TileSpec("payments_parked", "Parked payments", warn=1),
        TileSpec("accounts_parked", "Parked accounts", alarm=1),
        TileSpec("issue_limit_near", "Near the issue limit", alarm=1),
        TileSpec("corrections_owed", "Corrections owed", warn=1),
        TileSpec("files_missing", "Files missing", warn=600, alarm=7200, threshold_gauge="files_oldest_seconds"),
    ],
    "Buyers and merchants": [
        TileSpec("claims_open", "Claimable"),
        TileSpec("claims_closing", "Claims closing soon"),
        TileSpec(
            "deliveries_pending", "Webhooks to send", warn=300, alarm=3600, threshold_gauge="deliveries_oldest_seconds"
        ),
        TileSpec("deliveries_dead", "Dead deliveries", warn=1),
        TileSpec("endpoints_disabled", "Endpoints disabled", warn=1),
        TileSpec("webhooks_rejected", "Webhooks rejected, 1 h", warn=1),
        TileSpec("webhooks_not_applied", "Events that failed", warn=1, labels=("failed",)),
    ],
    "Upkeep": [
        TileSpec("tax_drift", "Tax drift", warn=1),
        TileSpec("tax_problems", "Unusable tax data", warn=1),
        TileSpec("quarantined", "Quarantined messages", warn=1),
        TileSpec("certificates_ending", "Certificates expiring", warn=1),
        TileSpec("accounts_short", "Low on numbers", warn=1),
        TileSpec("accounts_paused", "Accounts paused", warn=1),
        TileSpec("partitions_paused", "Partitions paused", warn=1),
    ],
}


def home_context(request: HttpRequest) -> dict[str, Any]:
    gauges = collect_gauges()
    groups = {name: [build_tile(gauges, spec) for spec in specs] for name, specs in TILES.items()}
    partitions = [partition_row(gauges, number) for number in range(settings.PARTITIONS)]
    deepest = max((row["depth"] for row in partitions), default=0)
    alerting = [tile for tiles in groups.values() for tile in tiles if tile.level != CLEAR]
    alerting += [cell for row in partitions for cell in row["cells"] if cell.level != CLEAR]
    return {
        "is_home": True,
        "as_of": clock.now(),
        "groups": groups,
        "alerting": sorted(alerting, key=lambda tile: tile.level != ALARM),
        "partitions": [{**row, "width": 100 * row["depth"] / deepest if deepest else 0} for row in partitions],
        "open_states": OPEN_STATES,
        "ended": ended_today(gauges["invoices_ended_today"]),
        "vat_change": vat_change(gauges["vat_rates_change_days"]),
        **charts_context(gauges["paid_to_issued_seconds"]),
    }


def build_tile(gauges: Mapping[str, Gauge], spec: TileSpec) -> Tile:
    gauge = gauges[spec.gauge]
    values = {labels: value for labels, value in gauge.values.items() if labels[: len(spec.labels)] == spec.labels}
    total = sum(values.values())
    judged = gauges[spec.threshold_gauge].total if spec.threshold_gauge else total
    largest = [(labels, value) for labels, value in sorted(values.items(), key=lambda pair: -pair[1]) if value][:4]
    parts = [(" ".join(labels), f"{value:,.0f}", gauge.link_of(*labels)) for labels, value in largest if labels]
    link = parts[0][2] if len(parts) == 1 else gauge.link_of(*spec.labels)
    help = gauge.help
    if spec.threshold_gauge and judged:
        help += f" The oldest: {charts.format_duration(judged)}."
    return Tile(spec.title, charts.abbreviate(total), level_of(judged, spec.warn, spec.alarm), link, help, parts)


def partition_row(gauges: Mapping[str, Gauge], number: int) -> dict[str, Any]:
    """The number of invoices in each open state, and the lateness of the oldest."""
    depth, late = gauges["invoices_open"], gauges["invoices_oldest_seconds"]
    cells = []
    for state in OPEN_STATES:
        key = (state.value, str(number))
        seconds, count = late.value_of(*key), depth.value_of(*key)
        title = f"Partition {number} {state}, {charts.format_duration(seconds)} late"
        level = level_of(seconds, *LATE[state]) if count else CLEAR
        age = charts.format_duration(seconds) if count and seconds >= 1 else ""
        cells.append(Tile(title, charts.abbreviate(count), level, depth.link_of(*key), age))
    total = sum(depth.value_of(state.value, str(number)) for state in OPEN_STATES)
    return {"number": number, "cells": cells, "depth": total}


def level_of(value: float, warn: float | None, alarm: float | None) -> str:
    if alarm is not None and value >= alarm:
        return ALARM
    return WARN if warn is not None and value >= warn else CLEAR


def ended_today(gauge: Gauge) -> list[tuple[str, str, str]]:
    return [(state.lower(), f"{gauge.value_of(state):,.0f}", gauge.link_of(state)) for state in COUNTED_ENDS]


def vat_change(gauge: Gauge) -> VatChange | None:
    warn, alarm = VAT_CHANGE_DAYS
    for (date,), days in gauge.values.items():
        return VatChange(date, int(days), level_of(-days, -warn, -alarm), gauge.link)
    return None


def charts_context(quantiles: Gauge) -> dict[str, Any]:
    start = clock.at_vn(clock.today_vn())
    outcomes: dict[datetime, dict[str, int]] = {}
    seconds: dict[int, int] = {}
    for at, state, label, count in counters.counts_by_time(start, CHART_STEP, COUNTED_ENDS):
        slot = outcomes.setdefault(at, {})
        slot[state] = slot.get(state, 0) + count
        if state == State.ISSUED and label:
            seconds[int(label)] = seconds.get(int(label), 0) + count
    order = (State.ISSUED, State.CANCELLED, State.EXPIRED, State.FAILED)
    return {
        "day": charts.stacked_bars(start, CHART_STEP, outcomes, order),
        "durations": charts.duration_bars(seconds),
        "p50": charts.format_duration(quantiles.value_of("0.5")),
        "p95": charts.format_duration(quantiles.value_of("0.95")),
        "issued_today_link": quantiles.link,
    }
