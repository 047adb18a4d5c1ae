"""Change an invoice that no provider can know: a new document under the same reference."""

from typing import Any

from django.db import transaction

from config.base import clock
from invoices.audit import Event
from invoices.lifecycle import Reason, State, WrongState
from invoices.models import Invoice, LegalRules
from invoices.models.rules import issue_limit
from invoices.moving import Step, move_one
from invoices.opening import buyers
from invoices.opening.conclude import lock_order
from invoices.opening.new_invoice import settle_sale
from invoices.opening.snapshots import snapshot_account
from invoices.operations.look_up import check_reference_remembered
from merchants.models import ProviderAccount

RENDER_AGAIN = {"document": ""}


def amend(
    invoice: Invoice,
    *,
    actor: str,
    reason: str,
    buyer: dict[str, Any] | None = None,
    lines: list[Any] | None = None,
    dry_run: bool = False,
) -> Invoice:
    """Give a FAILED invoice another buyer or other lines and queue it again.

    An empty `buyer` is the consumer. `lines` have the contract's shape. Without the order's discount they must add up
    to the amount paid less refunds. The buyer may correct the buyer fields of a refused invoice; everything else is
    reserved to operators. Raises WrongState, Unacceptable, buyers.InvalidBuyer.
    """
    details = buyers.parse_buyer(buyer) if buyer else buyer

    def decide(row: Invoice) -> Step:
        check_amendable(row, by_buyer=actor == "buyer", lines=lines is not None)
        changes: dict[str, Any] = {**RENDER_AGAIN, **prepare_resend(row), "attempts": 0, "not_before": clock.now()}
        if details is not None:
            source = "claim" if actor == "buyer" else "operator"
            changes |= {"buyer": details, "buyer_source": source if details else ""}
        if lines is not None:
            changes |= _settle_lines(row, lines)
        return Step(to=State.QUEUED, event=Event.AMENDED, reason=reason, changes=changes)

    with transaction.atomic():
        lock_order(invoice.merchant.code, invoice.order_id)
        return move_one(invoice, decide, actor=actor, dry_run=dry_run)


def check_amendable(row: Invoice, *, by_buyer: bool, lines: bool) -> None:
    """Raises WrongState, with the time when the invoice may become amendable."""
    if row.state != State.FAILED:
        raise WrongState(f"Order {row.order_id} is {row.state}. Only a failed invoice can be amended.")
    if by_buyer and (lines or row.failure != Reason.REFUSED):
        raise WrongState(f"Order {row.order_id} did not fail because of the buyer's details.")
    if row.open_refund and not lines:
        raise WrongState(f"Order {row.order_id} was partly refunded. Its lines must be amended.")
    if by_buyer and row.issue_until <= clock.now():
        raise WrongState(f"Order {row.order_id} is past its issue limit. The seller must decide about it.")
    check_document_may_change(row)


def check_document_may_change(row: Invoice) -> None:
    """A document may not change while a provider may know it. Raises WrongState."""
    if row.exposed:
        when = f" It is looked up again at {row.not_before.isoformat()}." if row.state != State.FAILED else ""
        raise WrongState(f"Order {row.order_id} may be known to a provider. Nothing in it may change.{when}")
    if row.first_uncertain_at:
        until = f" at {row.final_lookup_at.isoformat()}" if row.final_lookup_at else ""
        raise WrongState(f"A send of order {row.order_id} was uncertain. It may change after the final look-up{until}.")


def prepare_resend(row: Invoice) -> dict[str, Any]:
    """The changes that a failed invoice needs before it is sent again.

    Raises WrongState if it could never be sent, or might be issued twice.
    """
    changes = redate(row)
    check_reference_remembered(row)
    if is_account_closed(changes.get("account", row.account)):
        raise WrongState(f"The account of order {row.order_id} is closed. Refresh its configuration first.")
    return changes


def is_account_closed(account: ProviderAccount | None) -> bool:
    return account is None or account.deleted_at is not None or not account.is_active


def redate(row: Invoice) -> dict[str, Any]:
    """The changes that date an invoice today, under this year's symbol, in a new document.

    Empty while it may carry its own day: before its issue limit, and while its account has sent no later day.
    Raises WrongState.
    """
    now = clock.now()
    last_day = row.account and row.account.last_issue_date
    if row.issue_until > now and not (last_day and row.issue_date < last_day):
        return {}
    check_document_may_change(row)
    today = clock.day_vn(now)
    changes = {"issue_date": today, "issue_until": issue_limit(now), **RENDER_AGAIN}
    if row.account and row.account.year != today.year:
        account = ProviderAccount.for_year(row.account.merchant, row.form, today.year)
        if account is None:
            raise WrongState(f"The merchant has no symbol of {today.year}. Add its provider account first.")
        changes |= {
            "account": account,
            "provider": account.provider,
            "symbol": account.symbol,
            "config_snapshot": {**row.config_snapshot, "account": snapshot_account(account)},
        }
    return changes


def _settle_lines(row: Invoice, lines: list[Any]) -> dict[str, Any]:
    sold = {**row.sold, "lines": lines, "discount": 0}
    owed = row.sold["total"] - row.refunded_amount
    bill = settle_sale({**sold, "total": owed}, row.form, LegalRules.on(clock.day_vn(row.paid_at)))
    settled = {"settled_refund": row.refunded_amount}
    return {"sold": sold, "bill": bill.to_json(), "total": bill.total, "vat": bill.vat, **settled}


def fall_back_to_consumer(invoice: Invoice) -> Step | None:
    """The step for a refused buyer that was not corrected in time: the consumer's text, if the merchant allows it.

    Raises WrongState if the buyer could not have corrected it either.
    """
    if not invoice.failure_field.startswith("buyer.") or not invoice.policy.get("consumerFallback"):
        return None
    check_amendable(invoice, by_buyer=True, lines=False)
    changes = {**RENDER_AGAIN, "buyer": {}, "buyer_source": "", "attempts": 0, "not_before": clock.now()}
    why = "the refused buyer was not corrected by the issue limit: issued to the consumer"
    return Step(to=State.QUEUED, event=Event.CONSUMER_FALLBACK, reason=why, changes=changes)
