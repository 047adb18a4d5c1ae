"""Gauges of claimable invoices, and the counter of claims."""

from collections.abc import Iterable

from prometheus_client.core import Metric

from config.monitoring.gauges import Gauge, changelist_url, scalar_gauge
from config.monitoring.metrics import Totals, counter_family, counts_by_label
from invoices.models import Invoice
from invoices.operations.claim import CLAIMED
from invoices.worklists import worklist_condition


def gauges() -> Iterable[Gauge]:
    for name, work, help in (
        ("claims_open", "claimable", "Invoices that their buyers may still claim."),
        ("claims_closing", "closing", "Of these, those whose window closes within 15 minutes."),
    ):
        yield scalar_gauge(
            name,
            help,
            Invoice.objects.filter(worklist_condition(work)).count(),
            changelist_url("invoices_invoice", worklist=work),
        )


def counters(totals: Totals) -> Iterable[Metric]:
    kinds = [("first",), ("edited",)]
    yield counter_family(
        "claims", "Claims by buyers: first claims and edits.", ["kind"], counts_by_label(totals, CLAIMED), kinds
    )
