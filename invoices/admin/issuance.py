"""Attempts, files and audit rows across invoices."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from config.admin import Shown
from config.console.cells import badge
from invoices.admin.page import SEES_BUYERS
from invoices.admin.paper import sent_paper
from invoices.cells import as_json, changes, file_link
from invoices.models import AuditVerification, InvoiceAuditTracing, InvoiceFile, InvoiceIssuance


class OfInvoice(Shown):
    """Found by the order; each row shows its invoice."""

    list_select_related = ("invoice",)
    raw_id_fields = ("invoice",)
    linked = ("invoice__id__exact",)
    search_fields = ("invoice__order_id__startswith",)
    search_help_text = "An order, or how it begins. Lists end after 10,000 rows."


@admin.register(InvoiceIssuance)
class InvoiceIssuanceAdmin(OfInvoice):
    list_display = ("id", "invoice", "provider", "attempt", "result", "scope", "code", "taken_at", "took", "number")
    fields = (
        ("invoice", "attempt"),
        ("account", "provider", "tax_code"),
        ("reference", "document_sha256"),
        ("taken_at", "last_byte_by", "ended_at", "took"),
        ("result", "scope", "code"),
        "message",
        "answer",
        ("symbol", "number"),
        ("looked_up", "not_founds", "not_found_at"),
    )
    readonly_fields = ("reference", "took", "result", "answer")
    change_form_template = "invoices/issuance.html"

    class Media:
        css = {"all": ("invoices/page.css",)}

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        row = kwargs["obj"]
        context |= {
            "paper": sent_paper(row, sees_buyer=request.user.has_perm(SEES_BUYERS)),
            "invoice": {"document_sha256": row.document_sha256, "number": row.number},  # as the paper names them
        }
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="outcome")
    def result(self, row: InvoiceIssuance) -> SafeString:
        return badge(row.outcome)

    @admin.display(description="seconds")
    def took(self, row: InvoiceIssuance) -> str:
        return "" if row.seconds is None else f"{row.seconds:.2f}"

    @admin.display(description="response (redacted)")
    def answer(self, row: InvoiceIssuance) -> SafeString | str:
        return as_json(row.response)


@admin.register(InvoiceFile)
class InvoiceFileAdmin(OfInvoice):
    list_display = ("id", "invoice", "kind", "size", "created_at")
    list_filter = ("kind",)
    fields = ("invoice", "link", "sha256", "created_at")
    readonly_fields = ("link", "created_at")

    @admin.display(description="file")
    def link(self, row: InvoiceFile) -> SafeString:
        return file_link(row)


@admin.register(InvoiceAuditTracing)
class InvoiceAuditTracingAdmin(OfInvoice):
    list_display = ("id", "invoice", "seq", "event_type", "result", "actor", "at")
    fields = (("invoice", "seq"), ("event_type", "result"), ("actor", "at"), "why", "what", "record", "hash")
    readonly_fields = ("result", "why", "what")

    @admin.display(description="outcome")
    def result(self, row: InvoiceAuditTracing) -> SafeString:
        return badge(row.outcome)

    @admin.display(description="reason")
    def why(self, row: InvoiceAuditTracing) -> str:
        return row.reason

    @admin.display(description="changed")
    def what(self, row: InvoiceAuditTracing) -> str:
        return changes(row.told)


@admin.register(AuditVerification)
class AuditVerificationAdmin(Shown):
    list_display = ("started_at", "ended_at", "invoices", "rows", "broken", "until", "digest")
    fields = (("started_at", "ended_at"), ("invoices", "rows"), "broken", "first", ("until", "digest"))
    readonly_fields = ("first",)

    @admin.display(description="broken, the first of them")
    def first(self, row: AuditVerification) -> SafeString | str:
        return as_json(row.first_broken)
