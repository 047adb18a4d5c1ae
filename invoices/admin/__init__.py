"""The heart's windows: an invoice with all that happened to it, its attempts, and what we were told."""

from invoices.admin import facts, invoice, issuance, law

__all__ = ["facts", "invoice", "issuance", "law"]
