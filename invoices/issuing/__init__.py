"""The pump: take due invoices, send or look up, record. The only place that talks to a provider."""
