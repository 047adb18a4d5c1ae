"""The console's pages of this app."""

from django.contrib import admin

from invoices.admin import administration, attempts, audit, bulk, facts, home, invoice

__all__ = ["administration", "attempts", "audit", "bulk", "facts", "home", "invoice"]

admin.site.index_template = "invoices/home.html"
admin.site.home_context = home.home_context  # type: ignore[attr-defined]
