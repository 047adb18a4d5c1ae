"""The invoice: a list to find it in, a page that answers why."""

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, HttpRequest
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from config.admin import Historied, Shown
from invoices.admin.columns import NOTHING, badge, dong, file_link, moment, pairs, table
from invoices.admin.filters import OfMerchant, OfPartition, ToDo
from invoices.admin.timeline import Issuances, Requests, Tracings
from invoices.models import Invoice, InvoiceFile

SALE = ("merchant", ("order_id", "document_no"), ("kind", "relates_to"), "payment_id", "paid_at")
LEGAL_ACT = ("legal_number", "code", "lookup", ("issue_date", "issue_until"), "issued_at")
PROGRESS = (
    "reference",
    ("partition", "not_before"),
    ("attempts", "asks"),
    ("exposed_at", "doubted_at", "look_again_at"),
)


@admin.register(Invoice)
class InvoiceAdmin(Historied, Shown):
    list_display = ("order", "merchant", "badge", "money", "legal_number", "day", "partition", "updated")
    list_display_links = ("order",)
    list_filter = (ToDo, "state", "failure", OfMerchant, "issue_date", OfPartition)
    list_select_related = ("merchant",)
    search_fields = ("order_id__startswith", "number__exact")  # both exact in case, or no index would serve
    search_help_text = "An order (or how it begins) or an invoice number. Lists end after 10,000 rows."
    show_facets = admin.ShowFacets.NEVER
    inlines = (Requests, Issuances, Tracings)
    fieldsets = (
        (None, {"fields": ("badge", ("failure", "failure_code"), "failure_message")}),
        ("Sale", {"fields": (*SALE, "lines", "money", "tax", ("refunded_at", "refund"), "correction_owed")}),
        ("Buyer", {"fields": ("printed_buyer", "buyer_source", ("claim_deadline", "claimed_at"))}),
        ("Issuing", {"fields": (*LEGAL_ACT, "account", "seller", *PROGRESS)}),
        ("Files", {"fields": ("files_to_fetch", "files_due")}),
    )
    readonly_fields = (
        "badge",
        "lines",
        "money",
        "tax",
        "refund",
        "printed_buyer",
        "legal_number",
        "lookup",
        "seller",
        "reference",
        "files_to_fetch",
    )

    class Media:
        css = {"all": ("invoices/admin.css",)}

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
        return moment(row.updated_at)

    @admin.display(description="of which VAT")
    def tax(self, row: Invoice) -> str:
        return dong(row.vat)

    @admin.display(description="refunded")
    def refund(self, row: Invoice) -> str:
        return dong(row.refunded_amount) if row.refunded_amount else NOTHING

    @admin.display(description="lines")
    def lines(self, row: Invoice) -> SafeString:
        head = ("Goods or service", "Unit", "Quantity", "Net", "VAT rate", "VAT", "Gross")
        keys = ("name", "unit", "quantity", "net", "vat_rate", "vat", "gross")
        return table(head, ([line[key] for key in keys] for line in row.bill.get("lines", [])))

    @admin.display(description="buyer")
    def printed_buyer(self, row: Invoice) -> SafeString | str:
        return pairs(row.buyer) if row.buyer else "the consumer"

    @admin.display(description="look-up")
    def lookup(self, row: Invoice) -> str:
        return " ".join(filter(None, (row.lookup_url, row.lookup_code))) or NOTHING

    @admin.display(description="seller, as at opening")
    def seller(self, row: Invoice) -> SafeString | str:
        return pairs(row.config_snapshot.get("seller", {}))

    @admin.display(description="files")
    def files_to_fetch(self, row: Invoice) -> SafeString | str:
        return format_html_join(" · ", "{}", ((file_link(f),) for f in row.files.order_by("kind"))) or NOTHING

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.file)
        return [path("<int:pk>/files/<str:kind>/", view, name="invoices_invoice_file"), *super().get_urls()]

    def file(self, request: HttpRequest, pk: int, kind: str) -> FileResponse:
        """The PDF or XML, to save: never opened on the console's own origin."""
        if not request.user.has_perm("invoices.view_invoicefile"):
            raise PermissionDenied
        file = get_object_or_404(InvoiceFile.objects.select_related("invoice"), invoice_id=pk, kind=kind)
        name = f"{file.invoice.legal_number or file.invoice_id}.{file.kind}"
        return FileResponse(file.file.open("rb"), as_attachment=True, filename=name)
