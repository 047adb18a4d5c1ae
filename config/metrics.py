"""The project's own gauges."""

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric

from config.monitoring.gauges import Figure, rows
from config.monitoring.metrics import Totals
from config.rest.identity import verifier


def gauges() -> Iterable[Figure]:
    """The worker id: a second database with the same one would make ids that collide."""
    values = {(str(rows("SELECT snowflake_worker()")[0][0]),): 1.0}
    yield Figure("worker_id", "The worker id in the ids of this database.", ("worker_id",), values)


def counters(totals: Totals) -> Iterable[Metric]:
    told = "How long callers' tokens can still be judged if the identity service stays away; 0 before it was heard."
    yield GaugeMetricFamily("hoadon_identity_keys_seconds_left", told, value=verifier().keys.seconds_left())
