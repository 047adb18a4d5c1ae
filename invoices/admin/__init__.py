"""The heart's windows: an invoice with all that happened to it, its attempts, and what we were told."""

from invoices.admin import bulk, facts, invoice, issuance, law

__all__ = ["bulk", "facts", "invoice", "issuance", "law"]
