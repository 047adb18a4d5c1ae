"""What Prometheus counts of claims."""

from collections.abc import Iterable

from prometheus_client.core import Metric

from config.monitoring.metrics import Totals, counter, labelled
from invoices.operations.claim import CLAIMED


def read(totals: Totals) -> Iterable[Metric]:
    kinds = [("first",), ("edited",)]
    yield counter(
        "claims", "Buyers who said who they are, at first and again.", ["kind"], labelled(totals, CLAIMED), kinds
    )
