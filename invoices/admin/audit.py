"""Audit rows across invoices, and the nightly verifications of the audit."""

from django.contrib import admin
from django.utils.safestring import SafeString

from config.console.admins import ReadOnlyAdmin
from config.console.cells import badge
from invoices.admin.attempts import OfInvoiceAdmin
from invoices.cells import as_json, changed_fields
from invoices.models import AuditVerification, InvoiceAuditTracing


@admin.register(InvoiceAuditTracing)
class InvoiceAuditTracingAdmin(OfInvoiceAdmin):
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
        return changed_fields(row.content)


@admin.register(AuditVerification)
class AuditVerificationAdmin(ReadOnlyAdmin):
    list_display = ("started_at", "ended_at", "invoices", "rows", "broken", "until", "digest")
    fields = (("started_at", "ended_at"), ("invoices", "rows"), "broken", "first", ("until", "digest"))
    readonly_fields = ("first",)

    @admin.display(description="first broken ones")
    def first(self, row: AuditVerification) -> SafeString | str:
        return as_json(row.first_broken)
