"""Payments that cannot open an invoice yet: the missing part, and when they are retried."""

from collections.abc import Sequence
from datetime import date

from django.db import connection
from structlog.stdlib import get_logger

from config.base import clock
from invoices.models import InvoiceRequest, Payment
from invoices.opening.facts import Fact, Unacceptable
from merchants.models import Merchant, ProviderAccount

log = get_logger(__name__)

# The conditions of `find_issuer`, for many payments at once. An inconsistent one is retried once its merchant's
# tax data has changed.
READY_PAYMENTS = """
SELECT p.id, p.merchant_code, p.order_id FROM invoices_payment p
JOIN merchants_merchant m ON m.code = p.merchant_code AND m.is_active AND m.deleted_at IS NULL
JOIN merchants_taxinfo t ON t.merchant_id = m.id AND t.deleted_at IS NULL
WHERE p.parked <> '' AND p.id > %(after)s AND (p.parked <> 'refused' OR p.parked_at < t.updated_at)
  AND EXISTS (
    SELECT FROM merchants_provideraccount a
    WHERE a.merchant_id = m.id AND a.is_active AND a.deleted_at IS NULL AND a.encrypted_credentials <> ''
      AND a.form = CASE t.method WHEN 'direct' THEN '2' ELSE '1' END
      AND '20' || substr(a.symbol, 2, 2) = to_char(p.paid_at AT TIME ZONE 'Asia/Ho_Chi_Minh', 'YYYY'))
ORDER BY p.id LIMIT %(limit)s
"""


class CannotIssue(Exception):
    """The merchant cannot issue this sale yet. `why` is a Payment.Parked."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def find_issuer(payment: Payment, sale_day: date) -> tuple[Merchant, ProviderAccount]:
    """The merchant that issues a sale, and its account. Raises CannotIssue."""
    merchant = (
        Merchant.objects.not_deleted()
        .select_related("tax_info")
        .filter(code=payment.merchant_code, is_active=True)
        .first()
    )
    if not merchant:
        raise CannotIssue(Payment.Parked.MERCHANT)
    if not hasattr(merchant, "tax_info") or merchant.tax_info.deleted_at:
        raise CannotIssue(Payment.Parked.TAX_INFO)
    accounts = list(ProviderAccount.usable(merchant, merchant.tax_info.form))
    if not accounts:
        raise CannotIssue(Payment.Parked.ACCOUNT)
    for account in accounts:
        if account.year == sale_day.year:
            return merchant, account
    raise CannotIssue(Payment.Parked.SYMBOL_YEAR)


def find_ready(*, after: int, limit: int) -> list[tuple[int, str, str]]:
    """Payments with ids past `after` whose merchants can issue them now: (id, merchant code, order id)."""
    with connection.cursor() as cursor:
        cursor.execute(READY_PAYMENTS, {"after": after, "limit": limit})
        return cursor.fetchall()


def park(payment: Payment, why: str) -> None:
    log.info("[handlePaymentSuccess]", state="parked", reason=why, **payment.about)
    if payment.parked != why:
        Payment.objects.filter(pk=payment.pk).update(parked=why, parked_at=clock.now())


def refuse(payment: Payment, error: Unacceptable) -> None:
    """Keep an inconsistent payment for an operator. The order's other facts apply without it."""
    log.error("[handlePaymentSuccess]", state="refused", code=error.code, **payment.about)
    payment.parked, payment.parked_at, payment.problem = Payment.Parked.REFUSED, clock.now(), str(error)
    payment.save(update_fields=["parked", "parked_at", "problem", "updated_at"])


def unpark(payments: Sequence[Payment], opened: Payment) -> None:
    """Unpark an order's payments: it has its invoice. Inconsistent ones keep their problem."""
    if parked := [payment.pk for payment in payments if payment.parked]:
        Payment.objects.filter(pk__in=parked).update(parked="")
    if opened.problem:
        Payment.objects.filter(pk=opened.pk).update(problem="")


def replace_refused(payment: Payment, requests: Sequence[InvoiceRequest], new_facts: Sequence[Fact]) -> None:
    """Replace an inconsistent payment that was sent again by its new sale and buyer."""
    for fact in new_facts:
        if isinstance(fact, Payment) and fact.payment_id == payment.payment_id:
            payment.body, payment.paid_at, payment.problem = fact.body, fact.paid_at, ""
            payment.save(update_fields=["body", "paid_at", "problem", "updated_at"])
        for known in requests:
            if isinstance(fact, InvoiceRequest) and fact.request_id == known.request_id:
                known.buyer, known.requested_at = fact.buyer, fact.requested_at
                known.save(update_fields=["buyer", "requested_at", "updated_at"])
