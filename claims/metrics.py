"""The claims' figures: how many buyers may still claim, and whose time is nearly over."""

from collections.abc import Iterable

from config.monitoring.gauges import Figure, listed, one
from invoices.models import Invoice
from invoices.worklists import condition


def read() -> Iterable[Figure]:
    for name, work, help in (
        ("claims_open", "claimable", "Invoices that their buyers may still claim."),
        ("claims_closing", "closing", "Of these, those whose window closes within 15 minutes."),
    ):
        yield one(name, help, Invoice.objects.filter(condition(work)).count(), listed("invoices_invoice", work=work))
