"""The list of invoices, and an invoice's page."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils.safestring import SafeString

from config.console.actions import ActionAdmin
from config.console.admins import HistoryAdmin, ReadOnlyAdmin
from config.console.cells import NOTHING, badge, dong, format_time
from config.console.timeline import user_names
from invoices.admin.actions import Adopt, Cancel, IssueNow, LookUp, RefreshConfiguration, Replay, Skip
from invoices.admin.amend import Amend
from invoices.admin.bulk import BulkAdmin
from invoices.admin.filters import (
    FailureFilter,
    InvoiceWorklistFilter,
    IssueDateFilter,
    MerchantFilter,
    PartitionFilter,
)
from invoices.admin.page import invoice_page
from invoices.admin.search import search
from invoices.models import Invoice, InvoiceAuditTracing, InvoiceFile

SALE = ("merchant", ("order_id", "document_no"), ("kind", "relates_to"), "payment_id", "paid_at")
LEGAL_ACT = ("legal_number", "code", "lookup", ("issue_date", "issue_until"), "issued_at")
PROGRESS = (
    "reference",
    ("partition", "not_before"),
    ("attempts", "lookups"),
    ("exposed_at", "first_uncertain_at", "final_lookup_at"),
)


@admin.register(Invoice)
class InvoiceAdmin(BulkAdmin, ActionAdmin, HistoryAdmin, ReadOnlyAdmin):
    operator_actions = (Replay(), LookUp(), Amend(), Adopt(), RefreshConfiguration(), IssueNow(), Cancel(), Skip())
    list_display = ("order", "merchant", "badge", "money", "legal_number", "day", "partition", "updated")
    list_display_links = ("order",)
    list_filter = (
        InvoiceWorklistFilter,
        "state",
        ("failure", FailureFilter),
        MerchantFilter,
        ("issue_date", IssueDateFilter),
        PartitionFilter,
    )
    list_select_related = ("merchant",)
    search_fields = ("order_id__startswith", "number__exact")  # case-sensitive, as their indexes are
    search_help_text = "An order (or its beginning) or an invoice number. Lists end after 10,000 rows."
    change_form_template = "invoices/invoice.html"
    fieldsets = (
        ("Sale", {"fields": (*SALE, "money", "tax", ("refunded_at", "refund"), "correction_owed")}),
        ("Buyer", {"fields": ("buyer_source", ("claim_deadline", "claimed_at"))}),
        ("Issuing", {"fields": (*LEGAL_ACT, "account", *PROGRESS)}),
        ("Failure", {"fields": (("failure", "failure_code", "failure_field"), "failure_message")}),
        ("Files", {"fields": ("files_due", "files_attempts")}),
    )
    readonly_fields = ("money", "tax", "refund", "legal_number", "lookup", "reference")

    class Media:
        css = {"all": ("invoices/page.css",)}

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Invoice | None:
        """The invoice, with the related rows that its page needs."""
        related = ("merchant__tax_info", "account__merchant", "relates_to")
        rows = self.get_queryset(request).select_related(*related)
        try:
            return rows.filter(pk=self.model._meta.pk.to_python(object_id)).first()
        except ValidationError:
            return None

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        assert not request.user.is_anonymous and kwargs["obj"]
        return super().render_change_form(request, context | invoice_page(kwargs["obj"], request.user), *args, **kwargs)

    def name_authors(self, versions: list[Any]) -> None:
        """Give versions written by a move, which have no user, the actor and reason of their audit rows."""
        super().name_authors(versions)
        moved = [version for version in versions if version.history_user is None]
        if not moved:
            return
        tracings = InvoiceAuditTracing.objects.filter(invoice=moved[0].id, seq__in=[v.audit_seq for v in moved])
        by_seq = {tracing.seq: tracing for tracing in tracings}
        names = user_names(tracing.actor for tracing in by_seq.values())
        for version in moved:
            if tracing := by_seq.get(version.audit_seq):
                version.who = names.get(tracing.actor, tracing.actor)
                version.why = tracing.reason or tracing.event_type

    @admin.display(description="order")
    def order(self, row: Invoice) -> str:
        return row.order_id if row.document_no == 1 else f"{row.order_id} / {row.document_no}"

    @admin.display(description="state")
    def badge(self, row: Invoice) -> SafeString:
        return badge(row.state)

    @admin.display(description="total")
    def money(self, row: Invoice) -> str:
        return dong(row.total)

    @admin.display(description="issue date")
    def day(self, row: Invoice) -> str:
        return row.issue_date.isoformat()

    @admin.display(description="updated")
    def updated(self, row: Invoice) -> str:
        return format_time(row.updated_at)

    @admin.display(description="of which VAT")
    def tax(self, row: Invoice) -> str:
        return dong(row.vat)

    @admin.display(description="refunded")
    def refund(self, row: Invoice) -> str:
        return dong(row.refunded_amount) if row.refunded_amount else NOTHING

    @admin.display(description="look-up")
    def lookup(self, row: Invoice) -> str:
        return " ".join(filter(None, (row.lookup_url, row.lookup_code))) or NOTHING

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.download_file)
        return [
            path("search/", self.admin_site.admin_view(search), name="invoices_invoice_search"),
            path("<int:pk>/files/<str:kind>/", view, name="invoices_invoice_file"),
            *super().get_urls(),
        ]

    def download_file(self, request: HttpRequest, pk: int, kind: str) -> FileResponse:
        """The PDF or XML as a download: it must not open on the console's origin."""
        if not request.user.has_perm("invoices.view_invoicefile"):
            raise PermissionDenied
        file = get_object_or_404(InvoiceFile.objects.select_related("invoice"), invoice_id=pk, kind=kind)
        name = f"{file.invoice.legal_number or file.invoice_id}.{file.kind}"
        return FileResponse(file.file.open("rb"), as_attachment=True, filename=name)
