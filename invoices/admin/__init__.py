"""The heart's windows: an invoice with all that happened to it, its attempts, and what we were told."""

from django.contrib import admin

from invoices.admin import bulk, facts, home, invoice, issuance, law

__all__ = ["bulk", "facts", "invoice", "issuance", "law"]

admin.site.index_template = "invoices/home.html"
admin.site.home_context = home.told  # type: ignore[attr-defined]
