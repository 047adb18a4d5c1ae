"""Switch a failed invoice to today's configuration: its merchant's tax data, policy and account."""

from datetime import date
from typing import Any

from django.db import transaction

from config.base import clock
from invoices.audit import Event
from invoices.lifecycle import State, WrongState
from invoices.models import Invoice, LegalRules
from invoices.moving import Step, move_one
from invoices.opening.conclude import lock_order
from invoices.opening.new_invoice import settle_sale
from invoices.opening.snapshots import compare_trees, issue_day_now, snapshot_configuration
from invoices.operations.amend import RENDER_AGAIN, check_document_may_change
from merchants.models import ProviderAccount


def refresh_configuration(invoice: Invoice, *, actor: str, reason: str, dry_run: bool = False) -> Invoice:
    """FAILED stays FAILED; a replay then sends a new document under the same reference.

    Raises WrongState, and Unacceptable if the sale is inconsistent on the form that the merchant uses today.
    """

    def decide(row: Invoice) -> Step:
        if row.state != State.FAILED:
            raise WrongState(f"Order {row.order_id} is {row.state}. Only a failed invoice can get a new configuration.")
        check_document_may_change(row)
        changes = _read_configuration(row, issue_day_now(row))
        values = compare_trees(row.config_snapshot, changes["config_snapshot"])
        names = [value.name for value in values if value.differs]
        if not names and row.account_id == changes["account"].pk:
            raise WrongState(f"Order {row.order_id} already has today's configuration.")
        return Step(
            to=State.FAILED,
            event=Event.CONFIGURATION_REFRESHED,
            reason=f"{reason} (new: {', '.join(names)})",
            changes={**changes, **RENDER_AGAIN},
        )

    with transaction.atomic():
        lock_order(invoice.merchant.code, invoice.order_id)
        return move_one(invoice, decide, actor=actor, dry_run=dry_run)


def _read_configuration(row: Invoice, day: date) -> dict[str, Any]:
    """The fields that follow from the merchant's present configuration, for an invoice of that day."""
    merchant = row.merchant
    if not hasattr(merchant, "tax_info") or merchant.tax_info.deleted_at:
        raise WrongState("The merchant has no tax data.")
    account = ProviderAccount.for_year(merchant, merchant.tax_info.form, day.year)
    if account is None:
        raise WrongState(f"The merchant has no account of form {merchant.tax_info.form} for {day.year}.")
    changes = {
        "config_snapshot": snapshot_configuration(merchant, account),
        "account": account,
        "provider": account.provider,
        "seller_tax_code": merchant.tax_info.tax_code,
        "form": account.form,
        "symbol": account.symbol,
    }
    if account.form != row.form:
        bill = settle_sale({**row.sold, "total": row.total}, account.form, LegalRules.on(clock.day_vn(row.paid_at)))
        changes |= {"bill": bill.to_json(), "vat": bill.vat}
    return changes
