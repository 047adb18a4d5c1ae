"""Attempts and files across invoices."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from config.console.admins import ReadOnlyAdmin
from config.console.cells import badge, format_time
from invoices.admin.actions import SEES_BUYERS
from invoices.admin.document import printout_of_attempt
from invoices.cells import as_json, file_link
from invoices.models import InvoiceFile, InvoiceIssuance


class OfInvoiceAdmin(ReadOnlyAdmin):
    """Rows of an invoice, searched by its order."""

    list_select_related = ("invoice",)
    raw_id_fields = ("invoice",)
    link_filters = ("invoice__id__exact",)
    search_fields = ("invoice__order_id__startswith",)
    search_help_text = "An order, or its beginning. Lists end after 10,000 rows."


@admin.register(InvoiceIssuance)
class InvoiceIssuanceAdmin(OfInvoiceAdmin):
    list_display = ("id", "invoice", "provider", "attempt", "result", "code", "taken", "took", "number")
    fields = (
        ("invoice", "attempt"),
        ("account", "provider", "tax_code"),
        ("reference", "document_sha256"),
        ("taken_at", "last_byte_by", "ended_at", "took"),
        ("result", "scope", "code"),
        "message",
        "answer",
        ("symbol", "number"),
        ("lookups", "not_founds", "not_found_at"),
    )
    readonly_fields = ("reference", "took", "result", "answer")
    change_form_template = "invoices/attempt.html"

    class Media:
        css = {"all": ("invoices/page.css",)}

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        row = kwargs["obj"]
        context |= {
            "paper": printout_of_attempt(row, sees_buyer=request.user.has_perm(SEES_BUYERS)),
            "invoice": {"document_sha256": row.document_sha256, "number": row.number},  # the names that paper.html uses
        }
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="outcome")
    def result(self, row: InvoiceIssuance) -> SafeString:
        return badge(row.outcome)

    @admin.display(description="taken at")
    def taken(self, row: InvoiceIssuance) -> str:
        return format_time(row.taken_at)

    @admin.display(description="seconds")
    def took(self, row: InvoiceIssuance) -> str:
        return "" if row.seconds is None else f"{row.seconds:.2f}"

    @admin.display(description="response (redacted)")
    def answer(self, row: InvoiceIssuance) -> SafeString | str:
        return as_json(row.response)


@admin.register(InvoiceFile)
class InvoiceFileAdmin(OfInvoiceAdmin):
    list_display = ("id", "invoice", "kind", "size", "created_at")
    list_filter = ("kind",)
    fields = ("invoice", "link", "sha256", "created_at")
    readonly_fields = ("link", "created_at")

    @admin.display(description="file")
    def link(self, row: InvoiceFile) -> SafeString:
        return file_link(row)
