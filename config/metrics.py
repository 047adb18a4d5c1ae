"""The gauges of the project itself."""

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric

from config.monitoring.gauges import Gauge, fetch_rows
from config.monitoring.metrics import Totals
from config.rest.identity import verifier


def gauges() -> Iterable[Gauge]:
    values = {(str(fetch_rows("SELECT snowflake_worker()")[0][0]),): 1.0}
    yield Gauge(
        "worker_id", "The worker id in the ids of this database; no other database may have it.", ("worker_id",), values
    )


def counters(totals: Totals) -> Iterable[Metric]:
    help = "How long tokens can still be verified if the identity service stays down; 0 before its first answer."
    yield GaugeMetricFamily("hoadon_identity_keys_seconds_left", help, value=verifier().keys.seconds_left())
