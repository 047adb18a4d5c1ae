"""The console's home page: the day at a glance, calm where all is well. A number of rows leads to them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from config.base import clock
from config.monitoring import counters, gauges
from config.monitoring.gauges import Figure, Labels
from invoices.admin import charts
from invoices.counters import COUNTED
from invoices.lifecycle import State
from invoices.worklists import OPEN

STEP = timedelta(minutes=30)
CALM, WARN, ALARM = "calm", "warn", "alarm"
LATE = {  # seconds past their turn, from which it is odd, and bad; of SUBMITTED the tax authority may take an hour
    State.WAITING: (60, 600),
    State.QUEUED: (60, 300),
    State.SENDING: (120, 600),
    State.UNCERTAIN: (900, 7200),
    State.SUBMITTED: (3600, 86400),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A tile: which figure, under which words, from how many on it wants somebody."""

    figure: str
    title: str
    warn: float | None = None
    alarm: float | None = None
    of: Labels = ()  # only the combinations that begin so
    judged_by: str = ""  # the figure whose value says how bad it is, if that is another one


@dataclass(frozen=True, slots=True)
class Tile:
    title: str
    text: str
    tone: str
    link: str
    help: str
    parts: list[tuple[str, str, str]] = field(default_factory=list)  # words, number, link


TILES = {
    "Needs a hand": [
        Wanted("invoices_failed", "Dead letters", alarm=1),
        Wanted("webhooks_not_acted", "Refused payments", alarm=1, of=("refused", "payment.succeeded")),
        Wanted("payments_parked", "Parked payments", warn=1),
        Wanted("accounts_parked", "Parked accounts", alarm=1),
        Wanted("issue_limit_near", "Near the issue limit", alarm=1),
        Wanted("corrections_owed", "Corrections owed", warn=1),
        Wanted("files_missing", "Files missing", warn=600, alarm=7200, judged_by="files_oldest_seconds"),
    ],
    "Buyers and merchants": [
        Wanted("claims_open", "Claims open"),
        Wanted("claims_closing", "Claims closing soon"),
        Wanted("deliveries_pending", "Webhooks to send", warn=300, alarm=3600, judged_by="deliveries_oldest_seconds"),
        Wanted("deliveries_dead", "Webhooks given up", warn=1),
        Wanted("endpoints_disabled", "Endpoints off", warn=1),
        Wanted("webhooks_rejected", "Webhooks turned away, 1 h", warn=1),
        Wanted("webhooks_not_acted", "Events that failed", warn=1, of=("failed",)),
    ],
    "Upkeep": [
        Wanted("tax_drift", "Tax drift", warn=1),
        Wanted("tax_problems", "Unusable tax data", warn=1),
        Wanted("quarantined", "Quarantined messages", warn=1),
        Wanted("certificates_ending", "Certificates ending", warn=1),
        Wanted("accounts_short", "Short of numbers", warn=1),
        Wanted("accounts_paused", "Accounts held", warn=1),
        Wanted("partitions_paused", "Partitions held", warn=1),
    ],
}


def told(request: HttpRequest) -> dict[str, Any]:
    """What the template shows."""
    counted = gauges.read()
    groups = {name: [tile(counted, wanted) for wanted in tiles] for name, tiles in TILES.items()}
    lanes = [partition(counted, number) for number in range(settings.PARTITIONS)]
    deepest = max((lane["depth"] for lane in lanes), default=0)
    odd = [one for tiles in groups.values() for one in tiles if one.tone != CALM]
    odd += [cell for lane in lanes for cell in lane["cells"] if cell.tone != CALM]
    return {
        "is_home": True,
        "as_of": clock.now(),
        "groups": groups,
        "odd": sorted(odd, key=lambda one: one.tone != ALARM),
        "partitions": [{**lane, "width": 100 * lane["depth"] / deepest if deepest else 0} for lane in lanes],
        "open_states": OPEN,
        "ended": ended(counted["invoices_ended_today"]),
        "law": law(counted["vat_rates_change_days"]),
        **drawings(counted["paid_to_issued_seconds"]),
    }


def tile(counted: Mapping[str, Figure], wanted: Wanted) -> Tile:
    figure = counted[wanted.figure]
    values = {labels: value for labels, value in figure.values.items() if labels[: len(wanted.of)] == wanted.of}
    total = sum(values.values())
    judged = counted[wanted.judged_by].total if wanted.judged_by else total
    some = [(labels, value) for labels, value in sorted(values.items(), key=lambda one: -one[1]) if value]
    parts = [(" ".join(labels), f"{value:,.0f}", figure.link_of(*labels)) for labels, value in some[:4] if labels]
    link = parts[0][2] if len(parts) == 1 else figure.link_of(*wanted.of)
    help = figure.help
    if wanted.judged_by and judged:
        help += f" The oldest: {charts.span(judged)}."
    return Tile(wanted.title, charts.short(total), tone(judged, wanted.warn, wanted.alarm), link, help, parts)


def partition(counted: Mapping[str, Figure], number: int) -> dict[str, Any]:
    """One row: how many in each open state, and how late the oldest is."""
    depth, late = counted["invoices_open"], counted["invoices_oldest_seconds"]
    cells = []
    for state in OPEN:
        key = (state.value, str(number))
        seconds, count = late.of(*key), depth.of(*key)
        words = f"Partition {number} {state}, {charts.span(seconds)} late"
        how = tone(seconds, *LATE[state]) if count else CALM
        age = charts.span(seconds) if count and seconds >= 1 else ""
        cells.append(Tile(words, charts.short(count), how, depth.link_of(*key), age))
    return {"number": number, "cells": cells, "depth": sum(depth.of(state.value, str(number)) for state in OPEN)}


def tone(value: float, warn: float | None, alarm: float | None) -> str:
    if alarm is not None and value >= alarm:
        return ALARM
    return WARN if warn is not None and value >= warn else CALM


def ended(figure: Figure) -> list[tuple[str, str, str]]:
    return [(state.lower(), f"{figure.of(state):,.0f}", figure.link_of(state)) for state in COUNTED]


def law(figure: Figure) -> tuple[str, int, str, str] | None:
    for (day,), days in figure.values.items():
        return day, int(days), tone(-days, -30, -7), figure.link
    return None


def drawings(quantiles: Figure) -> dict[str, Any]:
    start = clock.at_vn(clock.today_vn())
    outcomes: dict[datetime, dict[str, int]] = {}
    seconds: dict[int, int] = {}
    for at, state, label, count in counters.by_time(start, STEP, COUNTED):
        slot = outcomes.setdefault(at, {})
        slot[state] = slot.get(state, 0) + count
        if state == State.ISSUED and label:
            seconds[int(label)] = seconds.get(int(label), 0) + count
    order = (State.ISSUED, State.CANCELLED, State.EXPIRED, State.FAILED)
    return {
        "day": charts.stacked(start, STEP, outcomes, order),
        "durations": charts.durations(seconds),
        "p50": charts.span(quantiles.of("0.5")),
        "p95": charts.span(quantiles.of("0.95")),
        "measured": quantiles.link,
    }
