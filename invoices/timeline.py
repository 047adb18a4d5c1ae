"""The invoice room's part of an invoice's timeline: facts, audit, attempts, files, and operators' edits."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils.html import format_html

from config.console.cells import dong, in_a_line, moment
from config.console.history import who
from config.console.timeline import Moment, Subject, newest
from config.monitoring.gauges import listed
from invoices.cells import as_json, changes, file_link
from invoices.issuing.documents import sha256
from invoices.masking import masked
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
from invoices.sentences import sentence

ASKED_BY: dict[str, str] = {
    InvoiceRequest.Source.PAYMENT: "The payment named the buyer",
    InvoiceRequest.Source.CHECKOUT: "The buyer asked for an invoice at the checkout",
    InvoiceRequest.Source.API: "An invoice was asked for over the API",
    InvoiceRequest.Source.CLAIM: "The buyer said who they are on the claim page",
}
TRIED = {
    "open": "no answer yet",
    "submitted": "numbered, not yet coded",
    "refused": "refused",
    "unavailable": "surely not done",
    "uncertain": "it may have happened",
    "abandoned": "nobody recorded an answer",
}


def entries(subject: Subject) -> list[Moment]:
    return [moment for part in _parts(subject) for moment in part]


def _parts(subject: Subject) -> Iterator[list[Moment]]:
    may = subject.may
    if may("invoices.view_payment"):
        yield newest(_of_order(Payment, subject), _payment, what="payments", link=_list("payment", subject))
    if may("invoices.view_refund"):
        yield newest(_of_order(Refund, subject), _refund, what="refunds", link=_list("refund", subject))
    if may("invoices.view_invoicerequest"):
        yield newest(_requests(subject), _request, what="requests", link=_list("invoicerequest", subject))
    if may("invoices.view_partition"):
        yield newest(_partition(subject), _held, what="pauses", link=listed("invoices_partition"))
    if may("invoices.view_invoiceaudittracing"):
        tracings = InvoiceAuditTracing.objects.filter(invoice=subject.invoice_id).order_by("-seq")
        yield newest(tracings, _audit, what="audit rows", link=_list("invoiceaudittracing", subject))
    if may("invoices.view_invoiceissuance"):
        yield _attempts(subject)
    if may("invoices.view_invoicefile"):
        files = InvoiceFile.objects.filter(invoice=subject.invoice_id).order_by("-id")
        yield newest(files, _file, what="files", link=_list("invoicefile", subject))
    yield _edits(subject)


def _list(model: str, subject: Subject) -> str:
    if model in ("payment", "refund", "invoicerequest"):
        return listed(f"invoices_{model}", merchant_code=subject.merchant_code, order_id=subject.order_id)
    return listed(f"invoices_{model}", invoice__id__exact=subject.invoice_id)


def _of_order(model: Any, subject: Subject) -> QuerySet[Any]:
    return model.objects.filter(merchant_code=subject.merchant_code, order_id=subject.order_id).order_by("-id")


def _requests(subject: Subject) -> QuerySet[Any]:
    """A correction's own requests, or, of the order's first document, all that nobody else has."""
    return _of_order(InvoiceRequest, subject).filter(Q(invoice=subject.invoice_id) | Q(invoice=None))


def _payment(row: Payment) -> Moment:
    facts = {
        "payment": row.payment_id,
        "heard of": moment(row.created_at),
        "problem": row.problem,
        "as it came": as_json(row.body),
    }
    return Moment(
        at=row.paid_at,
        kind="payment",
        sentence=f"{dong(row.body['total'])} was paid",
        why=row.get_parked_display() if row.parked else "",
        facts=facts,
        link=reverse("admin:invoices_payment_change", args=[row.pk]),
    )


def _refund(row: Refund) -> Moment:
    how = "All" if row.full else "Some"
    return Moment(
        at=row.refunded_at,
        kind="refund",
        sentence=f"{how} of it went back: {dong(row.amount)}",
        why=row.reason,
        facts={"refund": row.refund_id, "heard of": moment(row.created_at)},
        link=reverse("admin:invoices_refund_change", args=[row.pk]),
    )


def _request(row: InvoiceRequest) -> Moment:
    late = ", too late for this document" if row.too_late else ""
    return Moment(
        at=row.requested_at,
        kind="claim" if row.source == InvoiceRequest.Source.CLAIM else "request",
        sentence=("The payment named no buyer: the consumer" if not row.buyer else ASKED_BY[row.source]) + late,
        facts={"request": row.request_id, "buyer": in_a_line(masked(row.buyer)), "heard of": moment(row.created_at)},
        link=reverse("admin:invoices_invoicerequest_change", args=[row.pk]),
    )


def _audit(row: InvoiceAuditTracing) -> Moment:
    record = row.told
    return Moment(
        at=row.at,
        kind="audit",
        sentence=sentence(row.event_type),
        why=record["reason"],
        outcome=record["after"].get("state") or ("" if row.outcome == "ok" else row.outcome),
        actor=row.actor,
        facts={
            "changed": changes(record),
            "row": f"{row.seq} {row.event_type}",
            "hash": row.hash,
        },
        link=reverse("admin:invoices_invoiceaudittracing_change", args=[row.pk]),
    )


def _attempts(subject: Subject) -> list[Moment]:
    sent = sha256(subject.document) if subject.document else ""

    def tell(row: InvoiceIssuance) -> Moment:
        link = reverse("admin:invoices_invoiceissuance_change", args=[row.pk])
        earlier = format_html('<a href="{}#paper">an earlier document</a>', link)
        return Moment(
            at=row.taken_at,
            kind="attempt",
            sentence=f"Attempt {row.attempt} at {row.provider}: {_outcome(row)}",
            why=row.message,
            outcome=row.outcome,
            facts={
                "class": " ".join(filter(None, (row.outcome, row.scope, row.code))),
                "seconds": "" if row.seconds is None else f"{row.seconds:.2f}",
                "looked up": _looked_up(row),
                "request": "the document on this page" if row.document_sha256 == sent else earlier,
                "its SHA-256": row.document_sha256,
                "reference": str(row.reference),
                "response": as_json(row.response),
            },
            link=link,
        )

    rows = InvoiceIssuance.objects.filter(invoice=subject.invoice_id).order_by("-id")
    return newest(rows, tell, what="attempts", link=_list("invoiceissuance", subject))


def _outcome(row: InvoiceIssuance) -> str:
    if row.outcome == InvoiceIssuance.Outcome.ISSUED:
        return f"issued as {row.symbol}-{row.number}" if row.number else "issued"
    return " ".join(filter(None, (TRIED[row.outcome], row.code)))


def _looked_up(row: InvoiceIssuance) -> str:
    if not row.looked_up:
        return ""
    times = f"{row.looked_up} times" if row.looked_up > 1 else "once"
    absent = f"; {row.not_founds} not-found that proves something, the last at {moment(row.not_found_at)}"
    return times + (absent if row.not_founds else "")


def _file(row: InvoiceFile) -> Moment:
    return Moment(
        at=row.created_at,
        kind="file",
        sentence=f"The {row.kind.upper()} came from the provider",
        facts={"file": file_link(row), "SHA-256": row.sha256},
        link=reverse("admin:invoices_invoicefile_change", args=[row.pk]),
    )


def _partition(subject: Subject) -> QuerySet[Any]:
    held = Partition.history.filter(number=subject.partition).order_by("-history_date", "-history_id")
    return held.filter(history_date__gte=subject.since, history_date__lte=subject.until)


def _held(row: Any) -> Moment:
    return Moment(
        at=row.history_date,
        kind="edit",
        sentence=f"Partition {row.number} was {'paused' if row.paused else 'let go on'}",
        actor=who(row),
        why=row.history_change_reason or "",
    )


def _edits(subject: Subject) -> list[Moment]:
    """What somebody typed: the moves' own versions, which no user wrote, are told by the audit."""
    versions = Invoice.history.filter(id=subject.invoice_id, history_user__isnull=False)
    link = reverse("admin:invoices_invoice_history", args=[subject.invoice_id])

    def tell(row: Any) -> Moment:
        return Moment(
            at=row.history_date,
            kind="edit",
            sentence="The invoice was edited",
            actor=who(row),
            why=row.history_change_reason or "",
            link=link,
        )

    return newest(versions.order_by("-history_date", "-history_id"), tell, what="edits", link=link)
