"""What Prometheus is told of the identity service by the process that it asks."""

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric

from config.monitoring.metrics import Totals
from config.rest.identity import verifier


def read(totals: Totals) -> Iterable[Metric]:
    told = "How long callers' tokens can still be judged if the identity service stays away; 0 before it was heard."
    yield GaugeMetricFamily("hoadon_identity_keys_seconds_left", told, value=verifier().keys.seconds_left())
