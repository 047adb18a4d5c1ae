"""The pump: take due invoices, send or look up, record. The only place that sends."""
