"""Change what is sent, while no provider can know it: a new document under the same reference."""

from typing import Any

from django.db import transaction

from config.base import clock
from invoices.lifecycle import Reason, State, WrongState
from invoices.models import Invoice, LegalRules
from invoices.models.rules import issue_limit
from invoices.moving import Step, move_one
from invoices.opening import buyers
from invoices.opening.conclude import lock_order, settle
from invoices.opening.snapshots import lane
from invoices.operations.look_up import check_remembered
from merchants.models import ProviderAccount

REDRAWN = {"document": ""}


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

    An empty `buyer` is the consumer. `lines` are the contract's; they must come to what was paid less what went back,
    without the order's discount. The buyer may mend the buyer's fields of a refused invoice; all else is an
    operator's. Raises WrongState, Unacceptable, buyers.InvalidBuyer.
    """
    details = buyers.parse(buyer) if buyer else buyer

    def decide(row: Invoice) -> Step:
        check_amendable(row, by_buyer=actor == "buyer", lines=lines is not None)
        changes: dict[str, Any] = {**REDRAWN, **sendable(row), "attempts": 0, "not_before": clock.now()}
        if details is not None:
            source = "claim" if actor == "buyer" else "operator"
            changes |= {"buyer": details, "buyer_source": source if details else ""}
        if lines is not None:
            changes |= _billed(row, lines)
        return Step(State.QUEUED, "amended", reason=reason, changes=changes)

    with transaction.atomic():
        lock_order(invoice.merchant.code, invoice.order_id)
        return move_one(invoice, decide, actor=actor, dry_run=dry_run)


def check_amendable(row: Invoice, *, by_buyer: bool, lines: bool) -> None:
    """Raises WrongState, with the time when that may change."""
    if row.state != State.FAILED:
        raise WrongState(f"Order {row.order_id} is {row.state}: only a failed invoice can be amended.")
    if by_buyer and (lines or row.failure != Reason.REFUSED):
        raise WrongState(f"Order {row.order_id} failed for another reason than the buyer's details.")
    if row.open_refund and not lines:
        raise WrongState(f"Order {row.order_id} was partly refunded: its lines must be amended.")
    if by_buyer and row.issue_until <= clock.now():
        raise WrongState(f"Order {row.order_id} is past its issue limit: the seller decides what becomes of it.")
    check_redrawable(row)


def check_redrawable(row: Invoice) -> None:
    """May its document be drawn anew? Never while a provider may know the old one. Raises WrongState."""
    if row.exposed:
        when = f" Asked about again at {row.not_before.isoformat()}." if row.state != State.FAILED else ""
        raise WrongState(f"Order {row.order_id} may be known to a provider: nothing in it may change.{when}")
    if row.doubted_at:
        until = f" at {row.look_again_at.isoformat()}" if row.look_again_at else ""
        raise WrongState(f"A send of order {row.order_id} was in doubt: it may change after the last look{until}.")


def sendable(row: Invoice) -> dict[str, Any]:
    """What must change in a failed invoice that it can be sent again. Raises WrongState where it never would be, or
    might be issued twice."""
    changes = redated(row)
    check_remembered(row)
    if is_closed(changes.get("account", row.account)):
        raise WrongState(f"The account of order {row.order_id} is closed: let it take today's configuration first.")
    return changes


def is_closed(account: ProviderAccount | None) -> bool:
    return account is None or account.deleted_at is not None or not account.is_active


def redated(row: Invoice) -> dict[str, Any]:
    """After its day, or once its lane has sent of a later one, an invoice carries the day of its replay, under that
    year's symbol, in a document drawn anew."""
    now = clock.now()
    last_day = row.account and row.account.last_issue_date
    if row.issue_until > now and not (last_day and row.issue_date < last_day):
        return {}
    check_redrawable(row)
    today = clock.day_vn(now)
    changes = {"issue_date": today, "issue_until": issue_limit(now), **REDRAWN}
    if row.account and row.account.year != today.year:
        account = ProviderAccount.for_year(row.account.merchant, row.form, today.year)
        if account is None:
            raise WrongState(f"The merchant has no symbol of {today.year}: add its provider account first.")
        changes |= {
            "account": account,
            "provider": account.provider,
            "symbol": account.symbol,
            "config_snapshot": {**row.config_snapshot, "account": lane(account)},
        }
    return changes


def _billed(row: Invoice, lines: list[Any]) -> dict[str, Any]:
    sold = {**row.sold, "lines": lines, "discount": 0}
    owed = row.sold["total"] - row.refunded_amount
    bill = settle({**sold, "total": owed}, row.form, LegalRules.on(clock.day_vn(row.paid_at)))
    settled = {"settled_refund": row.refunded_amount}
    return {"sold": sold, "bill": bill.to_json(), "total": bill.total, "vat": bill.vat, **settled}


def fall_back_to_consumer(invoice: Invoice) -> Step | None:
    """The step of a refused buyer that nobody mended in time: the consumer's text, where the merchant wants it so.

    Raises WrongState where the buyer could not mend it either.
    """
    if not invoice.failure_field.startswith("buyer.") or not invoice.policy.get("consumerFallback"):
        return None
    check_amendable(invoice, by_buyer=True, lines=False)
    changes = {**REDRAWN, "buyer": {}, "buyer_source": "", "attempts": 0, "not_before": clock.now()}
    why = "the refused buyer was not mended by the issue limit: issued to the consumer"
    return Step(State.QUEUED, "consumer_fallback", reason=why, changes=changes)
