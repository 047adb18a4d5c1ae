"""The facts known about an order in, its Invoice out.

Every fact takes the order's lock, is stored, and `converge` runs: what comes out depends on the set of facts that
arrived before the invoice was first taken, never on their order or repetition.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, models, transaction
from structlog.stdlib import get_logger

from config.base import clock
from config.base.ids import new_ids
from config.monitoring import counters
from invoices import audit
from invoices.counters import count_opening
from invoices.lifecycle import CLAIMABLE, Reason, State
from invoices.models import Invoice, InvoiceRequest, LegalRules, Payment, Refund
from invoices.models.invoice import new_claim_token, reference_of
from invoices.models.rules import issue_limit
from invoices.moving import Step, invoices_moved, move_one, wake_workers
from invoices.opening import money, parking
from invoices.opening.claim_window import close_window_to
from invoices.opening.facts import Fact, Unacceptable
from invoices.opening.parking import CannotIssue
from invoices.opening.snapshots import snapshot
from invoices.queues import partition_of
from merchants.models import Merchant

log = get_logger(__name__)
PAYMENT_CONFLICT = "payment_conflict"  # the tally

# Nearly every order is new when it is paid: one question instead of three wide reads that find nothing.
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
    parked: str = ""


def apply_facts(*facts: Fact, actor: str) -> OpeningResult:
    """Keep facts of one order and draw the conclusion. A fact that is known already is not kept twice.

    Raises Unacceptable where the sale does not add up; nothing is kept then.
    """
    merchant_code, order_id = facts[0].merchant_code, facts[0].order_id
    with transaction.atomic(savepoint=False):  # whoever calls within a transaction loses it with the facts
        lock_order(merchant_code, order_id)
        for fact in facts:
            type(fact).objects.bulk_create([fact], ignore_conflicts=True)  # type: ignore[list-item]
        return conclude(merchant_code, order_id, actor=actor, told=facts)


def lock_order(merchant_code: str, order_id: str) -> None:
    """First of all locks, everywhere: order, provider account, invoices by id, their children."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{merchant_code}\n{order_id}"])


def conclude(merchant_code: str, order_id: str, *, actor: str, told: Sequence[Fact] = ()) -> OpeningResult:
    """Open the order's invoice, or bring the one that exists up to the facts. Call under the order's lock.

    Raises Unacceptable where a payment that is just being `told` does not add up.
    """
    of_order = models.Q(merchant_code=merchant_code, order_id=order_id)
    with connection.cursor() as cursor:
        cursor.execute(KNOWN, {"merchant": merchant_code, "order": order_id})
        opened, asked_for, refunded = cursor.fetchone()
    original = Invoice.objects.filter(merchant__code=merchant_code, order_id=order_id, document_no=1)
    invoice = original.get() if opened else None
    requests = list(InvoiceRequest.objects.filter(of_order)) if asked_for else []
    refunds = list(Refund.objects.filter(of_order)) if refunded else []
    payments = list(Payment.objects.filter(of_order).order_by("id"))
    if invoice:
        opening = OpeningResult("exists" if payments else "stored", invoice)
    else:
        opening = _open_by_one_of(payments, requests, told, actor=actor)
    if not opening.invoice:
        return opening
    _compare(opening.invoice, payments, actor=actor)
    return replace(opening, invoice=_apply(opening.invoice, requests, refunds, actor=actor))


def _open_by_one_of(
    payments: list[Payment], requests: list[InvoiceRequest], told: Sequence[Fact], *, actor: str
) -> OpeningResult:
    """The first payment that adds up opens. One that does not raises Unacceptable only to whoever tells it."""
    telling = {fact.payment_id for fact in told if isinstance(fact, Payment)}
    for payment in sorted(payments, key=lambda p: bool(p.problem)):  # those that did not add up come last
        if payment.problem and payment.payment_id in telling:
            parking.hear_again(payment, requests, told)
        try:
            invoice = _open(payment, requests, actor=actor)
        except CannotIssue as error:
            parking.park(payment, error.why)
            return OpeningResult("parked", parked=error.why)
        except Unacceptable as error:
            if payment.payment_id in telling:
                raise
            parking.refuse(payment, error)
        else:
            parking.let_go(payments, payment)
            return OpeningResult("opened" if invoice.total else "not_required", invoice)
    return OpeningResult("stored")


def _open(payment: Payment, requests: list[InvoiceRequest], *, actor: str) -> Invoice:
    """Insert the invoice with its first audit row. Raises CannotIssue, Unacceptable."""
    now = clock.now()
    sale_day = clock.day_vn(payment.paid_at)
    rules = LegalRules.on(sale_day)
    merchant, account = parking.issuer(payment, sale_day)
    bill = settle_sale(payment.body, merchant.tax_info.form, rules)
    deadline = rules.claim_deadline(payment.paid_at, merchant.claim_window)
    heaviest = winning_request(requests)
    state, why = _first_state(bill.total, deadline, merchant, bool(heaviest), now)
    invoice = Invoice(
        merchant=merchant,
        order_id=payment.order_id,
        payment_id=payment.payment_id,
        paid_at=payment.paid_at,
        sold={
            key: payment.body.get(key) for key in ("lines", "discount", "total", "pricesIncludeVat", "paymentMethod")
        },
        bill=bill.to_json(),
        total=bill.total,
        vat=bill.vat,
        buyer=heaviest.buyer if heaviest else {},
        buyer_source=heaviest.source if heaviest else "",
        claim_token=new_claim_token(),
        claim_deadline=deadline,
        account=account,
        config_snapshot=snapshot(merchant, account),
        partition=partition_of(payment.order_id),
        trace=payment.trace,
        state=state,
        not_before=now,
        issue_date=sale_day,
        issue_until=issue_limit(payment.paid_at),
        reference=reference_of(merchant.code, payment.order_id, 1),
        provider=account.provider,
        seller_tax_code=merchant.tax_info.tax_code,
        form=account.form,
        symbol=account.symbol,
    )
    invoice.pk, tracing_id = new_ids(2)
    tracing = audit.draw_up(
        invoice, pk=tracing_id, event="opened", outcome="ok", actor=actor, reason=why, at=now, before={},
        after={"state": state.value, "total": bill.total, "issue_date": sale_day, "claim_deadline": deadline},
    )  # fmt: skip
    Invoice.objects.bulk_create([invoice])  # no signal: simple-history copies a row in Python, one at a time
    audit.write([tracing])
    audit.write_history([invoice.pk], at=now, reason="opened", kind="+")
    InvoiceRequest.objects.filter(pk__in=[r.pk for r in requests]).update(invoice=invoice)
    for request in requests:
        request.invoice = invoice
    log.info("[handlePaymentSuccess]", state=state.value, **invoice.about)
    count_opening(actor)
    invoices_moved.send(sender=Invoice, moved=[(invoice, None)], changed=[frozenset({"state"})])
    if state == State.QUEUED:
        transaction.on_commit(lambda: wake_workers([invoice]))
    return invoice


def settle_sale(body: dict[str, Any], form: str, rules: LegalRules) -> money.Bill:
    """The bill of a sale under the rules of its day. Raises Unacceptable."""
    try:
        lines = money.parse_lines(body["lines"])
        for at, line in enumerate(lines):
            if form == "1" and line.vat_rate and line.vat_rate not in rules.vat_rates:
                raise money.DoesNotAddUp(
                    f"lines[{at}].vatRate", f"{line.vat_rate} was not in force on the day of the sale."
                )
        return money.settle(
            lines,
            form=form,
            prices_include_vat=body["pricesIncludeVat"],
            discount=body.get("discount") or 0,
            total=body["total"],
        )
    except money.DoesNotAddUp as error:
        raise Unacceptable("does_not_add_up", error.field, error.message) from None


def _first_state(total: int, deadline: Any, merchant: Merchant, buyer_known: bool, now: Any) -> tuple[State, str]:
    if total == 0:
        return State.CANCELLED, "not_required: nothing was paid"
    if deadline is None:
        return State.QUEUED, "no claim window: issue at once"
    if deadline > now:
        return State.WAITING, f"the buyer may claim until {deadline.isoformat()}"
    return close_window_to(merchant.unclaimed, buyer_known)


def _apply(invoice: Invoice, requests: list[InvoiceRequest], refunds: list[Refund], *, actor: str) -> Invoice:
    """Bring an invoice up to what is known of its order: one move, or none."""
    news = [r for r in requests if r.invoice_id is None]
    heaviest = winning_request(requests)
    claimed = [r for r in requests if r.source == InvoiceRequest.Source.CLAIM]
    refunded = sum(r.amount for r in refunds)
    late = invoice.buyer_is_final

    def decide(row: Invoice) -> Step | None:
        nonlocal late
        late = row.buyer_is_final  # as it is under the lock
        changes: dict[str, Any] = {}
        to, event, why = State(row.state), "fact_noted", ""
        if not late and heaviest and row.buyer != heaviest.buyer:
            changes |= {"buyer": heaviest.buyer, "buyer_source": heaviest.source}
            event, why = "buyer_changed", f"by {heaviest.source}"
        if row.state in CLAIMABLE and claimed and not (row.claimed_at or late):
            event, why = "claimed", "by the buyer"
            changes |= {"claimed_at": clock.now()}
            if row.state == State.WAITING:
                now, sale_day = clock.now(), clock.day_vn(row.paid_at)
                cutoff = max(LegalRules.on(sale_day).claim_cutoff(sale_day), now)
                to = State.QUEUED
                changes |= {"not_before": min(now + timedelta(seconds=settings.CLAIM_GRACE), cutoff)}
        if refunded != row.refunded_amount:
            changes |= {"refunded_amount": refunded, "refunded_at": max(r.refunded_at for r in refunds)}
            to, event, why = _after_refund(
                row, full=any(r.full for r in refunds) or refunded >= row.sold["total"], changes=changes
            )
        return Step(to, event, reason=why, changes=changes) if changes else None

    if refunds or claimed or (heaviest and heaviest.buyer != invoice.buyer):  # more than a payment has said already
        invoice = move_one(invoice, decide, actor=actor)
    if news:
        InvoiceRequest.objects.filter(pk__in=[r.pk for r in news]).update(invoice=invoice, too_late=late)
    return invoice


def _after_refund(row: Invoice, *, full: bool, changes: dict[str, Any]) -> tuple[State, str, str]:
    """A refund is a fact, not a move; what it does depends on how far the invoice is."""
    state = State(row.state)
    if state in (State.ISSUED, State.SUBMITTED):
        changes["correction_owed"] = True
        return state, "correction_owed", "refunded after it was issued"
    if state in (State.SENDING, State.UNCERTAIN) or row.exposed:
        return state, "refund_noted", "a provider may know it: decided when it answers"
    if full and state in (State.WAITING, State.QUEUED, State.FAILED):
        return State.CANCELLED, "cancelled", "refunded before it was issued"
    if state in (State.WAITING, State.QUEUED):
        changes |= {
            "failure": Reason.AMENDED.value,
            "failure_message": "Partly refunded before issue: amend the lines.",
        }
        return State.FAILED, "failed", "partly refunded before it was issued"
    return state, "refund_noted", ""


def _compare(invoice: Invoice, payments: list[Payment], *, actor: str) -> None:
    """A second payment with other money opens nothing; an operator must see it."""
    paid = invoice.sold["total"]  # amended lines may come to less
    others = (p for p in payments if p.payment_id != invoice.payment_id and p.body["total"] != paid and not p.problem)
    other = next(others, None)
    if other is None or invoice.tracings.filter(event_type="payment_conflict").exists():
        return
    counters.count({(PAYMENT_CONFLICT, ""): 1})
    log.error("[paymentConflict] another payment with other money", payment=other.payment_id, **invoice.about)
    why = f"payment {other.payment_id} says {other.body['total']} đồng, the invoice {paid}"
    move_one(invoice, lambda row: Step(State(row.state), "payment_conflict", "refused", why), actor=actor)


def winning_request(requests: list[InvoiceRequest]) -> InvoiceRequest | None:
    return max((r for r in requests if r.buyer and not r.too_late), key=lambda r: r.precedence, default=None)
