"""Operator actions on one invoice. Each calls an operation: with `dry_run` for the preview, then without."""

from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from config.console.actions import OperatorAction, Rejected
from config.console.cells import badge
from invoices.admin.document import render_payload_comparison
from invoices.lifecycle import AWAITING_LOOKUP, NUMBERED, State, WrongState
from invoices.models import Invoice
from invoices.opening.buyers import InvalidBuyer
from invoices.opening.facts import Unacceptable
from invoices.opening.snapshots import compare_trees
from invoices.operations.adopt import adopt
from invoices.operations.cancel import cancel
from invoices.operations.issue_now import issue_now
from invoices.operations.look_up import latest_attempt, look_up
from invoices.operations.refresh_configuration import refresh_configuration
from invoices.operations.replay import NOT_REPLAYABLE, replay
from invoices.operations.skip import skip
from invoices.providers.base import ProviderError

SEES_BUYERS = "invoices.view_buyer"  # the permission for previews that show the payload


class InvoiceAction(OperatorAction):
    rejects = (Rejected, WrongState, Unacceptable, InvalidBuyer, ProviderError)
    logged = False  # the operations write the invoice's audit

    def row_version(self, row: Invoice) -> object:
        return row.state, row.audit_seq


def render_state_change(before: Invoice, after: Invoice, why: str = "") -> SafeString:
    """One line: QUEUED → FAILED: why."""
    context = {"before": badge(before.state), "after": badge(after.state), "why": why}
    return render_to_string("invoices/state_change.html", context | {"unchanged": before.state == after.state})


class Replay(InvoiceAction):
    name, label, permissions = "replay", "Replay", ("invoices.replay_invoice", SEES_BUYERS)
    description = "Sends it again if no provider can know it, else looks it up. It is never issued twice."
    states = tuple(set(State) - set(NOT_REPLAYABLE))

    def preview(self, row: Invoice, **_: Any) -> SafeString:
        plan = replay(row, actor="", reason="", dry_run=True)
        payloads = (
            render_payload_comparison(row, plan.invoice) if plan.invoice.state == State.QUEUED else SafeString("")
        )
        return render_state_change(row, plan.invoice, plan.why) + payloads

    def perform(self, row: Invoice, *, actor: str, reason: str, **_: Any) -> str:
        return replay(row, actor=actor, reason=reason).why


class LookUp(InvoiceAction):
    name, label, permissions = "look-up", "Look up", ("invoices.look_up_invoice",)
    description = "Looks it up at the provider now. The answer counts: found means ISSUED, or a conflict."
    states = tuple({State.FAILED, State.CANCELLED, *AWAITING_LOOKUP, *NUMBERED})
    uses_network = True

    def preview(self, row: Invoice, **_: Any) -> SafeString:
        context = {"attempt": latest_attempt(row), "ended": row.state in (State.FAILED, State.CANCELLED)}
        return render_to_string("invoices/lookup_preview.html", context)

    def perform(self, row: Invoice, *, actor: str, reason: str, **_: Any) -> str:
        result = look_up(row, actor=actor, reason=reason)
        return f"{result.summary}. It is {result.invoice.state}."


class Adopt(InvoiceAction):
    name, label, permissions = "adopt", "Adopt", ("invoices.adopt_invoice",)
    description = "Records the provider's invoice as ours. Only a person may decide that they are the same."
    states = (State.FAILED,)
    uses_network = True

    def preview(self, row: Invoice, **_: Any) -> SafeString:
        after = adopt(row, actor="", reason="", dry_run=True)
        ours, theirs = ({"symbol": i.symbol, "number": i.number, "tax authority's code": i.code} for i in (row, after))
        change = render_state_change(row, after, "with the provider's data")
        return change + render_comparison(ours, theirs, "ours", "the provider's")

    def perform(self, row: Invoice, *, actor: str, reason: str, **_: Any) -> str:
        return f"adopted as {adopt(row, actor=actor, reason=reason).legal_number}"


class RefreshConfiguration(InvoiceAction):
    name, label = "refresh-configuration", "Refresh configuration"
    permissions = ("invoices.refresh_invoice_configuration",)
    description = (
        "Copies the merchant's seller data, policy and account of today. It stays FAILED: replay it afterwards."
    )
    states = (State.FAILED,)

    def preview(self, row: Invoice, **_: Any) -> SafeString:
        after = refresh_configuration(row, actor="", reason="", dry_run=True)
        then, now = ({**i.config_snapshot, "form": i.form, "symbol": i.symbol, "vat": i.vat} for i in (row, after))
        return render_comparison(then, now, "at opening", "today")

    def perform(self, row: Invoice, *, actor: str, reason: str, **_: Any) -> str:
        after = refresh_configuration(row, actor=actor, reason=reason)
        return f"it will be issued with today's configuration, as {after.form}{after.symbol}"


class IssueNow(InvoiceAction):
    name, label, permissions = "issue-now", "Issue now", ("invoices.issue_invoice_now", SEES_BUYERS)
    description = "Sends it now, without waiting for the claim window, with the buyer known so far."
    states = (State.WAITING,)

    def preview(self, row: Invoice, **_: Any) -> SafeString:
        after = issue_now(row, actor="", reason="", dry_run=True)
        return render_state_change(row, after, "it is sent at once") + render_payload_comparison(row, after)

    def perform(self, row: Invoice, *, actor: str, reason: str, **_: Any) -> str:
        issue_now(row, actor=actor, reason=reason)
        return "it is sent at once"


class Cancel(InvoiceAction):
    name, label, permissions = "cancel", "Cancel invoice", ("invoices.cancel_invoice",)
    description = "Says that no invoice is owed for this order. This cannot be undone."
    states = (State.WAITING, State.QUEUED, State.FAILED)

    def preview(self, row: Invoice, **_: Any) -> SafeString:
        return render_state_change(row, cancel(row, actor="", reason="", dry_run=True), "this cannot be undone")

    def perform(self, row: Invoice, *, actor: str, reason: str, **_: Any) -> str:
        cancel(row, actor=actor, reason=reason)
        return "cancelled"


class Skip(InvoiceAction):
    name, label, permissions = "skip", "Skip", ("invoices.skip_invoice",)
    description = (
        "Lets its account go on without it. It stays FAILED(skipped) until it is replayed, adopted or cancelled."
    )
    states = (State.QUEUED, State.UNCERTAIN)

    def preview(self, row: Invoice, **_: Any) -> SafeString:
        exposed = "a provider may know it, so a replay looks it up" if row.exposed else "no provider can know it"
        return render_state_change(row, skip(row, actor="", reason="", dry_run=True), exposed)

    def perform(self, row: Invoice, *, actor: str, reason: str, **_: Any) -> str:
        skip(row, actor=actor, reason=reason)
        return "its account goes on without it"


def render_comparison(then: dict[str, Any], now: dict[str, Any], left: str, right: str) -> SafeString:
    return render_to_string(
        "invoices/side_by_side.html", {"values": compare_trees(then, now), "left": left, "right": right}
    )
