"""The pump: take due invoices, send or ask, record. The only place that talks to a provider."""

from invoices.issuing.pump import issue_due, stop

__all__ = ["issue_due", "stop"]
