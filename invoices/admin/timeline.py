"""What happened to an invoice, in order: who was asked for, every attempt, every move."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from invoices.admin.columns import badge, changes, in_a_line, moment
from invoices.models import InvoiceAuditTracing, InvoiceIssuance, InvoiceRequest
from invoices.personal import masked


class Timeline(admin.TabularInline):
    extra = 0
    can_delete = False
    show_change_link = True
    classes = ("timeline",)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Requests(Timeline):
    model = InvoiceRequest
    verbose_name_plural = "timeline: who asked for an invoice"
    fields = ("when", "source", "request_id", "who", "too_late")
    readonly_fields = ("when", "who")
    ordering = ("requested_at", "id")

    @admin.display(description="requested at")
    def when(self, row: InvoiceRequest) -> str:
        return moment(row.requested_at)

    @admin.display(description="buyer")
    def who(self, row: InvoiceRequest) -> str:
        return in_a_line(masked(row.buyer))


class Issuances(Timeline):
    model = InvoiceIssuance
    verbose_name_plural = "timeline: attempts at the provider"
    fields = ("attempt", "when", "result", "code", "message", "took", "looked_up", "not_founds", "number")
    readonly_fields = ("when", "result", "took")
    ordering = ("id",)

    @admin.display(description="taken at")
    def when(self, row: InvoiceIssuance) -> str:
        return moment(row.taken_at)

    @admin.display(description="outcome")
    def result(self, row: InvoiceIssuance) -> SafeString:
        return badge(row.outcome)

    @admin.display(description="seconds")
    def took(self, row: InvoiceIssuance) -> str:
        return "" if row.seconds is None else f"{row.seconds:.2f}"


class Tracings(Timeline):
    model = InvoiceAuditTracing
    verbose_name_plural = "timeline: audit"
    fields = ("seq", "when", "event_type", "result", "actor", "why", "what")
    readonly_fields = ("when", "result", "why", "what")
    ordering = ("seq",)

    @admin.display(description="at")
    def when(self, row: InvoiceAuditTracing) -> str:
        return moment(row.at)

    @admin.display(description="outcome")
    def result(self, row: InvoiceAuditTracing) -> SafeString:
        return badge(row.outcome)

    @admin.display(description="reason")
    def why(self, row: InvoiceAuditTracing) -> str:
        return row.reason

    @admin.display(description="changed")
    def what(self, row: InvoiceAuditTracing) -> str:
        return changes(row.told)
