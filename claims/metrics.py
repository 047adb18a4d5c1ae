"""The claims' figures: how many buyers may still claim, and whose time is nearly over."""

from collections.abc import Iterable

from prometheus_client.core import Metric

from config.monitoring.gauges import Figure, listed, one
from config.monitoring.metrics import Totals, counter, labelled
from invoices.models import Invoice
from invoices.operations.claim import CLAIMED
from invoices.worklists import condition


def gauges() -> Iterable[Figure]:
    for name, work, help in (
        ("claims_open", "claimable", "Invoices that their buyers may still claim."),
        ("claims_closing", "closing", "Of these, those whose window closes within 15 minutes."),
    ):
        yield one(name, help, Invoice.objects.filter(condition(work)).count(), listed("invoices_invoice", work=work))


def counters(totals: Totals) -> Iterable[Metric]:
    kinds = [("first",), ("edited",)]
    yield counter(
        "claims", "Buyers who said who they are, at first and again.", ["kind"], labelled(totals, CLAIMED), kinds
    )
