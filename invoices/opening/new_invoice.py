"""Open the invoice of an order from its payment."""

from datetime import datetime
from typing import Any

from structlog.stdlib import get_logger

from config.base import clock
from invoices.lifecycle import State
from invoices.models import Invoice, InvoiceRequest, LegalRules, Payment
from invoices.models.invoice import new_claim_token, reference_of
from invoices.models.rules import issue_limit
from invoices.moving import open_invoices
from invoices.opening import money, parking
from invoices.opening.claim_window import state_after_window
from invoices.opening.facts import Unacceptable, winning_request
from invoices.opening.snapshots import snapshot_configuration
from invoices.queues import partition_of
from merchants.models import Merchant

log = get_logger(__name__)
SOLD = ("lines", "discount", "total", "pricesIncludeVat", "paymentMethod")  # the payment's fields that are kept


def open_invoice(payment: Payment, requests: list[InvoiceRequest], *, actor: str) -> Invoice:
    """Insert the invoice of a payment. Call under the order's lock. Raises CannotIssue, Unacceptable."""
    now = clock.now()
    sale_day = clock.day_vn(payment.paid_at)
    rules = LegalRules.on(sale_day)
    merchant, account = parking.find_issuer(payment, sale_day)
    bill = settle_sale(payment.body, merchant.tax_info.form, rules)
    deadline = rules.claim_deadline(payment.paid_at, merchant.claim_window)
    request = winning_request(requests)
    state, why = _first_state(bill.total, deadline, merchant, bool(request), now)
    invoice = Invoice(
        merchant=merchant,
        order_id=payment.order_id,
        payment_id=payment.payment_id,
        paid_at=payment.paid_at,
        sold={key: payment.body.get(key) for key in SOLD},
        bill=bill.to_json(),
        total=bill.total,
        vat=bill.vat,
        buyer=request.buyer if request else {},
        buyer_source=request.source if request else "",
        claim_token=new_claim_token(),
        claim_deadline=deadline,
        account=account,
        config_snapshot=snapshot_configuration(merchant, account),
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
    open_invoices([(invoice, why)], actor=actor, at=now)
    InvoiceRequest.objects.filter(pk__in=[r.pk for r in requests]).update(invoice=invoice)
    for stored in requests:
        stored.invoice = invoice
    log.info("[handlePaymentSuccess]", state=state.value, **invoice.about)
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


def _first_state(
    total: int, deadline: datetime | None, merchant: Merchant, buyer_known: bool, now: datetime
) -> tuple[State, str]:
    """The state, and its reason."""
    if total == 0:
        return State.CANCELLED, "not_required: nothing was paid"
    if deadline is None:
        return State.QUEUED, "no claim window: issue at once"
    if deadline > now:
        return State.WAITING, f"the buyer may claim until {deadline.isoformat()}"
    return state_after_window(merchant.unclaimed, buyer_known)
