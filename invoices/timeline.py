"""Timeline entries of invoices: facts about the order, audit, attempts, files, pauses and operators' edits."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils.html import format_html

from config.console.cells import comma_list, dong, format_time
from config.console.history import actor_of
from config.console.timeline import TimelineContext, TimelineEntry, newest_entries
from config.monitoring.gauges import changelist_url
from invoices.audit import sentence_of
from invoices.cells import as_json, changed_fields, file_link
from invoices.issuing.documents import sha256
from invoices.masking import mask_buyer
from invoices.models import (
    Invoice,
    InvoiceAuditTracing,
    InvoiceFile,
    InvoiceIssuance,
    InvoiceRequest,
    Partition,
    Payment,
    Refund,
)

REQUEST_SENTENCES: dict[str, str] = {
    InvoiceRequest.Source.PAYMENT: "The payment named the buyer",
    InvoiceRequest.Source.CHECKOUT: "The buyer requested an invoice at checkout",
    InvoiceRequest.Source.API: "An invoice was requested through the API",
    InvoiceRequest.Source.CLAIM: "The buyer entered their details on the claim page",
}
OUTCOMES = {  # of attempts; an issued one shows its number instead
    "open": "no response yet",
    "submitted": "numbered, waiting for the tax authority's code",
    "refused": "refused",
    "unavailable": "not sent",
    "uncertain": "outcome unknown",
    "abandoned": "no response recorded",
}


def entries(context: TimelineContext) -> list[TimelineEntry]:
    return [entry for part in _parts(context) for entry in part]


def _parts(context: TimelineContext) -> Iterator[list[TimelineEntry]]:
    may = context.has_perm
    if may("invoices.view_payment"):
        yield newest_entries(_of_order(Payment, context), _payment, what="payments", link=_list("payment", context))
    if may("invoices.view_refund"):
        yield newest_entries(_of_order(Refund, context), _refund, what="refunds", link=_list("refund", context))
    if may("invoices.view_invoicerequest"):
        yield newest_entries(_requests(context), _request, what="requests", link=_list("invoicerequest", context))
    if may("invoices.view_partition"):
        yield newest_entries(_pauses(context), _pause, what="pauses", link=changelist_url("invoices_partition"))
    if may("invoices.view_invoiceaudittracing"):
        tracings = InvoiceAuditTracing.objects.filter(invoice=context.invoice_id).order_by("-seq")
        yield newest_entries(tracings, _audit, what="audit rows", link=_list("invoiceaudittracing", context))
    if may("invoices.view_invoiceissuance"):
        yield _attempts(context)
    if may("invoices.view_invoicefile"):
        files = InvoiceFile.objects.filter(invoice=context.invoice_id).order_by("-id")
        yield newest_entries(files, _file, what="files", link=_list("invoicefile", context))
    yield _edits(context)


def _list(model: str, context: TimelineContext) -> str:
    if model in ("payment", "refund", "invoicerequest"):
        return changelist_url(f"invoices_{model}", merchant_code=context.merchant_code, order_id=context.order_id)
    return changelist_url(f"invoices_{model}", invoice__id__exact=context.invoice_id)


def _of_order(model: Any, context: TimelineContext) -> QuerySet[Any]:
    return model.objects.filter(merchant_code=context.merchant_code, order_id=context.order_id).order_by("-id")


def _requests(context: TimelineContext) -> QuerySet[Any]:
    """The invoice's own requests and those of the order that belong to no invoice."""
    return _of_order(InvoiceRequest, context).filter(Q(invoice=context.invoice_id) | Q(invoice=None))


def _payment(row: Payment) -> TimelineEntry:
    return TimelineEntry(
        at=row.paid_at,
        kind="payment",
        sentence=f"{dong(row.body['total'])} was paid",
        reason=row.get_parked_display() if row.parked else "",
        details={
            "payment": row.payment_id,
            "received": format_time(row.created_at),
            "problem": row.problem,
            "raw payload": as_json(row.body),
        },
        link=reverse("admin:invoices_payment_change", args=[row.pk]),
    )


def _refund(row: Refund) -> TimelineEntry:
    return TimelineEntry(
        at=row.refunded_at,
        kind="refund",
        sentence=f"{'Full' if row.full else 'Partial'} refund: {dong(row.amount)}",
        reason=row.reason,
        details={"refund": row.refund_id, "received": format_time(row.created_at)},
        link=reverse("admin:invoices_refund_change", args=[row.pk]),
    )


def _request(row: InvoiceRequest) -> TimelineEntry:
    sentence = REQUEST_SENTENCES[row.source] if row.buyer else "The payment named no buyer: the consumer"
    return TimelineEntry(
        at=row.requested_at,
        kind="claim" if row.source == InvoiceRequest.Source.CLAIM else "request",
        sentence=sentence + (", too late for this document" if row.too_late else ""),
        details={
            "request": row.request_id,
            "buyer": comma_list(mask_buyer(row.buyer)),
            "received": format_time(row.created_at),
        },
        link=reverse("admin:invoices_invoicerequest_change", args=[row.pk]),
    )


def _audit(row: InvoiceAuditTracing) -> TimelineEntry:
    content = row.content
    return TimelineEntry(
        at=row.at,
        kind="audit",
        sentence=sentence_of(row.event_type),
        reason=content["reason"],
        outcome=content["after"].get("state") or ("" if row.outcome == "ok" else row.outcome),
        actor=row.actor,
        details={
            "changed": changed_fields(content),
            "row": f"{row.seq} {row.event_type}",
            "hash": row.hash,
        },
        link=reverse("admin:invoices_invoiceaudittracing_change", args=[row.pk]),
    )


def _attempts(context: TimelineContext) -> list[TimelineEntry]:
    current_sha256 = sha256(context.document) if context.document else ""

    def to_entry(row: InvoiceIssuance) -> TimelineEntry:
        link = reverse("admin:invoices_invoiceissuance_change", args=[row.pk])
        earlier = format_html('<a href="{}#paper">an earlier document</a>', link)
        return TimelineEntry(
            at=row.taken_at,
            kind="attempt",
            sentence=f"Attempt {row.attempt} at {row.provider}: {_outcome(row)}",
            reason=row.message,
            outcome=row.outcome,
            details={
                "class": " ".join(filter(None, (row.outcome, row.scope, row.code))),
                "seconds": "" if row.seconds is None else f"{row.seconds:.2f}",
                "look-ups": _lookups(row),
                "request": "the document on this page" if row.document_sha256 == current_sha256 else earlier,
                "SHA-256": row.document_sha256,
                "reference": str(row.reference),
                "response": as_json(row.response),
            },
            link=link,
        )

    rows = InvoiceIssuance.objects.filter(invoice=context.invoice_id).order_by("-id")
    return newest_entries(rows, to_entry, what="attempts", link=_list("invoiceissuance", context))


def _outcome(row: InvoiceIssuance) -> str:
    if row.outcome == InvoiceIssuance.Outcome.ISSUED:
        return f"issued as {row.symbol}-{row.number}" if row.number else "issued"
    return " ".join(filter(None, (OUTCOMES[row.outcome], row.code)))


def _lookups(row: InvoiceIssuance) -> str:
    """The number of look-ups, and the not-founds that count as proof."""
    if not row.lookups:
        return ""
    times = f"{row.lookups} times" if row.lookups > 1 else "once"
    return (
        f"{times}; {row.not_founds} × not found, last at {format_time(row.not_found_at)}" if row.not_founds else times
    )


def _file(row: InvoiceFile) -> TimelineEntry:
    return TimelineEntry(
        at=row.created_at,
        kind="file",
        sentence=f"The {row.kind.upper()} was fetched from the provider",
        details={"file": file_link(row), "SHA-256": row.sha256},
        link=reverse("admin:invoices_invoicefile_change", args=[row.pk]),
    )


def _pauses(context: TimelineContext) -> QuerySet[Any]:
    versions = Partition.history.filter(number=context.partition).order_by("-history_date", "-history_id")
    return versions.filter(history_date__gte=context.since, history_date__lte=context.until)


def _pause(row: Any) -> TimelineEntry:
    return TimelineEntry(
        at=row.history_date,
        kind="edit",
        sentence=f"Partition {row.number} was {'paused' if row.paused else 'resumed'}",
        actor=actor_of(row),
        reason=row.history_change_reason or "",
    )


def _edits(context: TimelineContext) -> list[TimelineEntry]:
    """Versions written by a user. Those that moves wrote have no user and are in the audit."""
    versions = Invoice.history.filter(id=context.invoice_id, history_user__isnull=False)
    link = reverse("admin:invoices_invoice_history", args=[context.invoice_id])

    def to_entry(row: Any) -> TimelineEntry:
        return TimelineEntry(
            at=row.history_date,
            kind="edit",
            sentence="The invoice was edited",
            actor=actor_of(row),
            reason=row.history_change_reason or "",
            link=link,
        )

    return newest_entries(versions.order_by("-history_date", "-history_id"), to_entry, what="edits", link=link)
