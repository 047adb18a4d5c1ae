"""From the known facts of an order to its invoice.

Every fact takes the order's lock and is stored, then `conclude` runs. The result depends on the set of facts that
arrived before the invoice was first taken, never on their order or repetition.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.db import connection, models, transaction
from structlog.stdlib import get_logger

from config.monitoring import counters
from invoices.audit import Event, Outcome
from invoices.lifecycle import State
from invoices.models import Invoice, InvoiceRequest, Payment, Refund
from invoices.moving import Step, move_one
from invoices.opening import parking
from invoices.opening.existing_invoice import update_invoice
from invoices.opening.facts import Fact, Unacceptable
from invoices.opening.new_invoice import open_invoice
from invoices.opening.parking import CannotIssue

log = get_logger(__name__)
PAYMENT_CONFLICT = "payment_conflict"  # the counter's name

# Nearly every order is new when it is paid: one query instead of three wide reads that find nothing.
KNOWN = """
SELECT EXISTS (SELECT FROM invoices_invoice i JOIN merchants_merchant m ON m.id = i.merchant_id
               WHERE m.code = %(merchant)s AND i.order_id = %(order)s AND i.document_no = 1),
       EXISTS (SELECT FROM invoices_invoicerequest WHERE merchant_code = %(merchant)s AND order_id = %(order)s),
       EXISTS (SELECT FROM invoices_refund WHERE merchant_code = %(merchant)s AND order_id = %(order)s)
"""


@dataclass(frozen=True, slots=True)
class OpeningResult:
    """`outcome`: opened, exists, not_required, parked or stored."""

    outcome: str
    invoice: Invoice | None = None
    parked: str = ""  # a Payment.Parked


def apply_facts(*facts: Fact, actor: str) -> OpeningResult:
    """Store facts of one order, each only once, and conclude.

    Raises Unacceptable if the sale is inconsistent; nothing is stored then.
    """
    merchant_code, order_id = facts[0].merchant_code, facts[0].order_id
    with transaction.atomic(savepoint=False):  # an error rolls back the caller's transaction too
        lock_order(merchant_code, order_id)
        for fact in facts:
            type(fact).objects.bulk_create([fact], ignore_conflicts=True)  # type: ignore[list-item]
        return conclude(merchant_code, order_id, actor=actor, new_facts=facts)


def lock_order(merchant_code: str, order_id: str) -> None:
    """Always the first lock. The order of the others: the provider account, invoices by id, their children."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{merchant_code}\n{order_id}"])


def conclude(merchant_code: str, order_id: str, *, actor: str, new_facts: Sequence[Fact] = ()) -> OpeningResult:
    """Open the order's invoice, or update the one that exists. Call under the order's lock.

    Raises Unacceptable if a payment of `new_facts` is inconsistent.
    """
    of_order = models.Q(merchant_code=merchant_code, order_id=order_id)
    with connection.cursor() as cursor:
        cursor.execute(KNOWN, {"merchant": merchant_code, "order": order_id})
        has_invoice, has_requests, has_refunds = cursor.fetchone()
    requests = list(InvoiceRequest.objects.filter(of_order)) if has_requests else []
    refunds = list(Refund.objects.filter(of_order)) if has_refunds else []
    payments = list(Payment.objects.filter(of_order).order_by("id"))
    if has_invoice:
        invoice = Invoice.objects.get(merchant__code=merchant_code, order_id=order_id, document_no=1)
        result = OpeningResult("exists" if payments else "stored", invoice)
    else:
        result = _open_from_first_acceptable(payments, requests, new_facts, actor=actor)
    if not result.invoice:
        return result
    _report_payment_conflict(result.invoice, payments, actor=actor)
    return replace(result, invoice=update_invoice(result.invoice, requests, refunds, actor=actor))


def _open_from_first_acceptable(
    payments: list[Payment], requests: list[InvoiceRequest], new_facts: Sequence[Fact], *, actor: str
) -> OpeningResult:
    """The first consistent payment opens the invoice. An inconsistent one raises Unacceptable only if it is new."""
    new_payments = {fact.payment_id for fact in new_facts if isinstance(fact, Payment)}
    for payment in sorted(payments, key=lambda p: bool(p.problem)):  # those that were inconsistent before come last
        if payment.problem and payment.payment_id in new_payments:
            parking.replace_refused(payment, requests, new_facts)
        try:
            invoice = open_invoice(payment, requests, actor=actor)
        except CannotIssue as error:
            parking.park(payment, error.why)
            return OpeningResult("parked", parked=error.why)
        except Unacceptable as error:
            if payment.payment_id in new_payments:
                raise
            parking.refuse(payment, error)
        else:
            parking.unpark(payments, payment)
            return OpeningResult("opened" if invoice.total else "not_required", invoice)
    return OpeningResult("stored")


def _report_payment_conflict(invoice: Invoice, payments: list[Payment], *, actor: str) -> None:
    """Report a second payment with another amount, which opens nothing, to the operators."""
    paid = invoice.sold["total"]  # the total of amended lines may be lower
    others = (p for p in payments if p.payment_id != invoice.payment_id and p.body["total"] != paid and not p.problem)
    other = next(others, None)
    if other is None or invoice.tracings.filter(event_type=Event.PAYMENT_CONFLICT).exists():
        return
    counters.count({(PAYMENT_CONFLICT, ""): 1})
    log.error("[paymentConflict] another payment with another amount", payment=other.payment_id, **invoice.about)
    why = f"payment {other.payment_id} says {other.body['total']} đồng, the invoice {paid}"

    def note_conflict(row: Invoice) -> Step:
        return Step(to=State(row.state), event=Event.PAYMENT_CONFLICT, outcome=Outcome.REFUSED, reason=why)

    move_one(invoice, note_conflict, actor=actor)
