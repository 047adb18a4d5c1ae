"""Find the rows of a search text's candidates: four queries at most, each kind on its own index."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import connection, transaction
from django.db.models import Q, QuerySet, TextField, Value
from django.urls import reverse

from config.base.discovery import app_parts
from config.console.search import Hit
from invoices.models import BuyerTerms, Invoice, InvoiceIssuance, Payment
from invoices.models.terms import Words
from invoices.search.query import PERSONAL, Candidate, Kind, read_query

LIMIT = 50  # hits per kind
May = Callable[[str], bool]  # the reader's permissions


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResults:
    hits: list[Hit]
    kinds: list[Kind]  # the searched kinds
    withheld: list[Kind]  # the kinds that the reader may not search
    is_cut: bool  # one kind has more than LIMIT hits

    @property
    def only_hit(self) -> Hit | None:
        """The hit to open directly: the only exact one."""
        exact = [hit for hit in self.hits if hit.exact]
        return exact[0] if len({hit.link for hit in exact}) == 1 else None


def run_search(text: str, may: May) -> SearchResults:
    candidates = read_query(text)
    allowed = [c for c in candidates if c.kind not in PERSONAL or may("invoices.view_buyer")]
    hits = [hit for hits_of in app_parts("search", "hits") for hit in hits_of(allowed, may)] if allowed else []
    first = {hit.link: hit for hit in reversed(hits)}  # each page once, by its most likely kind
    return SearchResults(
        hits=[hit for hit in hits if first[hit.link] is hit],
        kinds=[c.kind for c in allowed],
        withheld=[c.kind for c in candidates if c not in allowed],
        is_cut=any(sum(hit.how == kind for hit in hits) > LIMIT for kind in Kind),
    )


def hits(candidates: list[Candidate], may: May) -> list[Hit]:
    """Invoices, and parked payments."""
    wants_payments = any(c.kind == Kind.PAYMENT for c in candidates)
    payments = list(_payments(candidates)[: LIMIT + 1]) if wants_payments else []
    paid = {(payment.merchant_code, payment.order_id) for payment in payments}
    branches = [rows_for(c) for c in candidates if c.kind != Kind.PAYMENT]
    if paid:
        codes, orders = zip(*paid, strict=True)
        branches.append(_ids(Invoice.objects.filter(merchant__code__in=codes, order_id__in=orders), Kind.PAYMENT))
    cut = [rows[: LIMIT + 1] for rows in branches]
    with _index_scans_only(candidates):
        ids = list(cut[0].union(*cut[1:], all=True))
    by_id = Invoice.objects.select_related("merchant").in_bulk({pk for _, pk in ids})
    rank = {c.kind: at for at, c in enumerate(candidates)}
    found = [(Kind(how), by_id[pk]) for how, pk in ids if pk in by_id]
    found.sort(key=lambda pair: (rank[pair[0]], -pair[1].pk))
    hits = [
        _hit(invoice, how)
        for how, invoice in found
        if how != Kind.PAYMENT or (invoice.merchant.code, invoice.order_id) in paid
    ]
    return hits + ([_parked(payment) for payment in payments if payment.parked] if may("invoices.view_payment") else [])


@contextmanager
def _index_scans_only(candidates: list[Candidate]) -> Iterator[None]:
    """Switch sequential scans off for names of several words.

    The planner assumes that words are independent. For two common family names, which never occur together, it would
    choose to read the whole table. Its estimate for a single word is right.
    """
    if not any(c.kind == Kind.NAME and " " in c.value for c in candidates):
        yield
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        yield


def rows_for(candidate: Candidate) -> QuerySet[Any, Any]:
    """The rows that match one candidate, as (kind, invoice id)."""
    value, kind, rows = candidate.value, candidate.kind, Invoice.objects
    match kind:
        case Kind.INVOICE:
            return _ids(rows.filter(pk=int(value)), kind)
        case Kind.ORDER:
            return _ids(rows.filter(order_id=value), kind)
        case Kind.ORDER_BEGIN:
            return _ids(rows.filter(order_id__startswith=value), kind)
        case Kind.CLAIM:
            return _ids(rows.filter(claim_token=value), kind)
        case Kind.CODE:
            return _ids(rows.filter(code=value), kind)
        case Kind.NUMBER:
            symbol = {"symbol": candidate.symbol} if candidate.symbol else {}
            return _ids(rows.filter(number__in={value, value.lstrip("0") or "0"}, **symbol), kind)
        case Kind.REFERENCE:
            return _ids(InvoiceIssuance.objects.filter(reference=value), kind, "invoice_id")
        case Kind.NAME:
            words = Words(Value(value, TextField()))
            return _ids(BuyerTerms.objects.filter(terms__contains=words), kind, "invoice_id")
    one = Value([value], ArrayField(TextField()))
    return _ids(BuyerTerms.objects.filter(terms__contains=one), kind, "invoice_id")


def _ids(rows: QuerySet[Any], kind: Kind, field: str = "pk") -> QuerySet[Any, Any]:
    return rows.order_by().annotate(how=Value(str(kind), TextField())).values_list("how", field)


def _payments(candidates: Iterable[Candidate]) -> QuerySet[Payment]:
    value = next(c.value for c in candidates if c.kind == Kind.PAYMENT)
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
