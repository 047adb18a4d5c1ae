"""/metrics for Prometheus: the figures as gauges, the tallies as counters and histograms.

All of it comes from PostgreSQL, so it is right with no worker up, never absent, and the same whichever process is
asked: aggregate over instances with `max`, never with `sum`. With PostgreSQL away it says `hoadon_up 0`.
"""

import hmac
import threading
import time
from collections.abc import Iterable, Mapping, Sequence

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from structlog.stdlib import get_logger

from config.base.discovery import offered
from config.monitoring import counters, gauges, health

log = get_logger(__name__)
FRESH = 2.0  # seconds: whoever asks oftener is told the same again
WAIT = 5.0  # seconds for another's scrape
PATIENCE = 2000  # ms for each statement of a scrape
Totals = Mapping[tuple[str, str], int]


@never_cache
@require_safe
def scraped(request: HttpRequest) -> HttpResponse:
    wanted = f"Bearer {settings.METRICS_TOKEN}"
    given = request.headers.get("Authorization", "")
    if settings.METRICS_TOKEN and not hmac.compare_digest(given.encode(), wanted.encode()):
        return HttpResponse("A bearer token is needed: METRICS_TOKEN.\n", status=401, content_type="text/plain")
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    registry = CollectorRegistry()
    registry.register(told)
    return HttpResponse(encode(registry), content_type=content_type)


class Told:
    """What is told, read once for all who ask at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0
        self._families: list[Metric] = []

    def describe(self) -> Iterable[Metric]:
        return []  # or the registry would collect when it is made

    def collect(self) -> Iterable[Metric]:
        if not self._lock.acquire(timeout=WAIT):
            return [up(False)]  # somebody's scrape hangs, with PostgreSQL; no second thread shall
        try:
            if time.monotonic() > self._until:
                self._families = families()
                self._until = time.monotonic() + FRESH
            return self._families
        finally:
            self._lock.release()


told = Told()


def families() -> list[Metric]:
    if health.checks.read().get("database"):  # asked in a thread that may hang
        return [up(False)]
    found: list[Metric] = []
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(PATIENCE)])
            found += [gauge(figure) for figure in gauges.read().values()]
            totals = counters.totals()
            found += [family for counters_of in offered("metrics", "counters") for family in counters_of(totals)]
    except (DatabaseError, InterfaceError):
        log.exception("[metricsUnavailable]")
        return [up(False)]
    return [up(True), *found]


def up(well: bool) -> Metric:
    return GaugeMetricFamily(
        "hoadon_up", "1 where PostgreSQL told the rest in time, 0 without the rest.", value=int(well)
    )


def gauge(figure: gauges.Figure) -> Metric:
    family = GaugeMetricFamily(f"hoadon_{figure.name}", figure.help, labels=figure.labels)
    for labels, value in {**dict.fromkeys(figure.every, 0), **figure.values}.items():
        family.add_metric([str(label) for label in labels], value)
    return family


def counter(
    name: str,
    help: str,
    labels: Sequence[str],
    values: Mapping[tuple[str, ...], float],
    every: Iterable[tuple[str, ...]] = (),
) -> Metric:
    """A counter that tells every combination from the start, so that its first increase is one."""
    family = CounterMetricFamily(f"hoadon_{name}", help, labels=labels)
    for combination, value in {**dict.fromkeys(every, 0), **values}.items():
        family.add_metric(combination, value)
    return family


def histogram(
    name: str,
    help: str,
    labels: Sequence[str],
    seconds: Mapping[tuple[str, ...], Mapping[int, int]],
    bounds: Sequence[int],
    step: float,
) -> Metric:
    """From counts by bucket n, which is step**n seconds and more. `bounds`: the n whose begin is an upper bound here.

    The sum is an estimate: each count in the middle of its bucket.
    """
    family = HistogramMetricFamily(f"hoadon_{name}", help, labels=labels)
    for combination, counts in seconds.items():
        buckets = [(str(float(step**bound)), sum(n for at, n in counts.items() if at < bound)) for bound in bounds]
        buckets.append(("+Inf", sum(counts.values())))
        family.add_metric(combination, buckets, sum(n * step ** (at + 0.5) for at, n in counts.items()))
    return family


def labelled(totals: Totals, name: str) -> dict[tuple[str, ...], int]:
    """What was counted under a name, by the parts of its label."""
    return {tuple(label.split(":")): count for (counted, label), count in totals.items() if counted == name}


def summed(counts: Mapping[tuple[str, ...], int], *parts: int) -> dict[tuple[str, ...], int]:
    """The same by some parts of the label only."""
    found: dict[tuple[str, ...], int] = {}
    for label, count in counts.items():
        key = tuple(label[part] for part in parts)
        found[key] = found.get(key, 0) + count
    return found
