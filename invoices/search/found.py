"""Look up what a text may be: four queries at most, each branch on an index of its own."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import connection, transaction
from django.db.models import Q, QuerySet, TextField, Value
from django.urls import reverse

from config.base.discovery import offered
from config.console.search import Hit
from invoices.models import BuyerTerms, Invoice, InvoiceIssuance, Payment
from invoices.models.terms import Words
from invoices.search.asked import PERSONAL, Kind, Look, looks

LIMIT = 50  # hits of one kind
May = Callable[[str], bool]  # the reader's permissions


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    hits: list[Hit]
    kinds: list[Kind]  # as what it was looked up
    withheld: list[Kind]  # as what the reader may not look up
    is_cut: bool  # there are more

    @property
    def sole(self) -> Hit | None:
        """The one place where the reader surely wants to be."""
        exact = [hit for hit in self.hits if hit.exact]
        return exact[0] if len({hit.link for hit in exact}) == 1 else None


def find(text: str, may: May) -> Found:
    asked = looks(text)
    allowed = [look for look in asked if look.kind not in PERSONAL or may("invoices.view_buyer")]
    hits = [hit for hits_of in offered("search", "hits") for hit in hits_of(allowed, may)] if allowed else []
    first = {hit.link: hit for hit in reversed(hits)}  # by the surest way to each
    return Found(
        hits=[hit for hit in hits if first[hit.link] is hit],
        kinds=[look.kind for look in allowed],
        withheld=[look.kind for look in asked if look not in allowed],
        is_cut=any(sum(hit.how == kind for hit in hits) > LIMIT for kind in Kind),
    )


def hits(asked: list[Look], may: May) -> list[Hit]:
    """Invoices, and payments that none could be opened for."""
    payments = list(_payments(asked)[: LIMIT + 1]) if any(look.kind == Kind.PAYMENT for look in asked) else []
    paid = {(payment.merchant_code, payment.order_id) for payment in payments}
    branches = [branch(look) for look in asked if look.kind != Kind.PAYMENT]
    if paid:
        codes, orders = zip(*paid, strict=True)
        branches.append(_ids(Invoice.objects.filter(merchant__code__in=codes, order_id__in=orders), Kind.PAYMENT))
    cut = [rows[: LIMIT + 1] for rows in branches]
    with _by_indexes_alone(asked):
        told = list(cut[0].union(*cut[1:], all=True))
    by_id = Invoice.objects.select_related("merchant").in_bulk({pk for _, pk in told})
    sure = {look.kind: at for at, look in enumerate(asked)}
    found = [(Kind(how), by_id[pk]) for how, pk in told if pk in by_id]
    found.sort(key=lambda pair: (sure[pair[0]], -pair[1].pk))
    hits = [
        _hit(invoice, how)
        for how, invoice in found
        if how != Kind.PAYMENT or (invoice.merchant.code, invoice.order_id) in paid
    ]
    return hits + ([_parked(payment) for payment in payments if payment.parked] if may("invoices.view_payment") else [])


@contextmanager
def _by_indexes_alone(asked: list[Look]) -> Iterator[None]:
    """The planner takes words for independent: it would read the whole table for two that never meet, such as two
    common family names. Of one word it knows how common it is."""
    if not any(look.kind == Kind.NAME and " " in look.value for look in asked):
        yield
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        yield


def branch(look: Look) -> QuerySet[Any, Any]:
    """The rows that one look is about, as (kind, invoice id)."""
    value, rows = look.value, Invoice.objects
    match look.kind:
        case Kind.INVOICE:
            return _ids(rows.filter(pk=int(value)), look.kind)
        case Kind.ORDER:
            return _ids(rows.filter(order_id=value), look.kind)
        case Kind.ORDER_BEGIN:
            return _ids(rows.filter(order_id__startswith=value), look.kind)
        case Kind.CLAIM:
            return _ids(rows.filter(claim_token=value), look.kind)
        case Kind.CODE:
            return _ids(rows.filter(code=value), look.kind)
        case Kind.NUMBER:
            symbol = {"symbol": look.symbol} if look.symbol else {}
            return _ids(rows.filter(number__in={value, value.lstrip("0") or "0"}, **symbol), look.kind)
        case Kind.REFERENCE:
            return _ids(InvoiceIssuance.objects.filter(reference=value), look.kind, "invoice_id")
        case Kind.NAME:
            words = Words(Value(value, TextField()))
            return _ids(BuyerTerms.objects.filter(terms__contains=words), look.kind, "invoice_id")
    one = Value([value], ArrayField(TextField()))
    return _ids(BuyerTerms.objects.filter(terms__contains=one), look.kind, "invoice_id")


def _ids(rows: QuerySet[Any], kind: Kind, field: str = "pk") -> QuerySet[Any, Any]:
    return rows.order_by().annotate(how=Value(str(kind), TextField())).values_list("how", field)


def _payments(asked: Iterable[Look]) -> QuerySet[Payment]:
    value = next(look.value for look in asked if look.kind == Kind.PAYMENT)
    return Payment.objects.filter(Q(payment_id=value) | (Q(order_id=value) & ~Q(parked="")))


def _hit(invoice: Invoice, how: Kind) -> Hit:
    number = f" · {invoice.legal_number}" if invoice.number else ""
    return Hit(
        title=f"{invoice.order_id}{f' / {invoice.document_no}' if invoice.document_no > 1 else ''}{number}",
        merchant=invoice.merchant.name,
        state=invoice.state,
        at=invoice.paid_at,
        link=reverse("admin:invoices_invoice_change", args=[invoice.pk]),
        how=how,
        exact=how != Kind.ORDER_BEGIN,
    )


def _parked(payment: Payment) -> Hit:
    return Hit(
        title=f"{payment.order_id}: {payment.get_parked_display()}",
        merchant=payment.merchant_code,
        state="parked",
        at=payment.paid_at,
        link=reverse("admin:invoices_payment_change", args=[payment.pk]),
        how=Kind.PAYMENT,
    )
