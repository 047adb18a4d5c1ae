"""/metrics for Prometheus: gauges, counters and histograms.

All values come from PostgreSQL. They are right while no worker runs, and every process exports the same ones: aggregate
over instances with `max`, never with `sum`. While PostgreSQL is down the only metric is `hoadon_up 0`.
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

from config.base.discovery import app_parts
from config.monitoring import counters, gauges, health

log = get_logger(__name__)
CACHE_SECONDS = 2.0  # for which a scrape's result is reused
LOCK_WAIT = 5.0  # seconds that a scrape waits for another one
STATEMENT_TIMEOUT = 2000  # ms, of each statement of a scrape
Totals = Mapping[tuple[str, str], int]


@never_cache
@require_safe
def metrics_view(request: HttpRequest) -> HttpResponse:
    expected = f"Bearer {settings.METRICS_TOKEN}"
    given = request.headers.get("Authorization", "")
    if settings.METRICS_TOKEN and not hmac.compare_digest(given.encode(), expected.encode()):
        return HttpResponse("Send METRICS_TOKEN as a bearer token.\n", status=401, content_type="text/plain")
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    registry = CollectorRegistry()
    registry.register(collector)
    return HttpResponse(encode(registry), content_type=content_type)


class MetricsCollector:
    """Collects all metrics, once for all scrapes that run at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cached_until = 0.0
        self._families: list[Metric] = []

    def describe(self) -> Iterable[Metric]:
        return []  # otherwise the registry would collect when it is created

    def collect(self) -> Iterable[Metric]:
        if not self._lock.acquire(timeout=LOCK_WAIT):
            return [up_family(False)]  # another scrape hangs on PostgreSQL; this thread must not hang too
        try:
            if time.monotonic() > self._cached_until:
                self._families = collect_families()
                self._cached_until = time.monotonic() + CACHE_SECONDS
            return self._families
        finally:
            self._lock.release()


collector = MetricsCollector()


def collect_families() -> list[Metric]:
    if health.checks.results().get("database"):  # that check runs in a thread that may hang
        return [up_family(False)]
    collected: list[Metric] = []
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(STATEMENT_TIMEOUT)])
            collected += [gauge_family(gauge) for gauge in gauges.collect_gauges().values()]
            totals = counters.totals()
            collected += [family for counters_of in app_parts("metrics", "counters") for family in counters_of(totals)]
    except (DatabaseError, InterfaceError):
        log.exception("[metricsUnavailable]")
        return [up_family(False)]
    return [up_family(True), *collected]


def up_family(up: bool) -> Metric:
    help = "1 if PostgreSQL answered in time; 0 if not, then no other metric is exported."
    return GaugeMetricFamily("hoadon_up", help, value=int(up))


def gauge_family(gauge: gauges.Gauge) -> Metric:
    family = GaugeMetricFamily(f"hoadon_{gauge.name}", gauge.help, labels=gauge.labels)
    for labels, value in {**dict.fromkeys(gauge.combinations, 0), **gauge.values}.items():
        family.add_metric([str(label) for label in labels], value)
    return family


def counter_family(
    name: str,
    help: str,
    labels: Sequence[str],
    values: Mapping[tuple[str, ...], float],
    combinations: Iterable[tuple[str, ...]] = (),
) -> Metric:
    """Exports all `combinations` from the start, so that Prometheus sees the first increase."""
    family = CounterMetricFamily(f"hoadon_{name}", help, labels=labels)
    for combination, value in {**dict.fromkeys(combinations, 0), **values}.items():
        family.add_metric(combination, value)
    return family


def histogram_family(
    name: str,
    help: str,
    labels: Sequence[str],
    seconds: Mapping[tuple[str, ...], Mapping[int, int]],
    bounds: Sequence[int],
    step: float,
) -> Metric:
    """From counts by bucket n, which starts at step**n seconds. `bounds` are the n whose start is a bound in /metrics.

    The sum is an estimate that puts each count in the middle of its bucket.
    """
    family = HistogramMetricFamily(f"hoadon_{name}", help, labels=labels)
    for combination, counts in seconds.items():
        buckets = [(str(float(step**bound)), sum(n for at, n in counts.items() if at < bound)) for bound in bounds]
        buckets.append(("+Inf", sum(counts.values())))
        family.add_metric(combination, buckets, sum(n * step ** (at + 0.5) for at, n in counts.items()))
    return family


def counts_by_label(totals: Totals, name: str) -> dict[tuple[str, ...], int]:
    """The counts of one name, by the parts of their label."""
    return {tuple(label.split(":")): count for (counted, label), count in totals.items() if counted == name}


def sum_by_parts(counts: Mapping[tuple[str, ...], int], *parts: int) -> dict[tuple[str, ...], int]:
    """The sums of counts by some parts of their label."""
    sums: dict[tuple[str, ...], int] = {}
    for label, count in counts.items():
        key = tuple(label[part] for part in parts)
        sums[key] = sums.get(key, 0) + count
    return sums
