"""What operators may do to one invoice: each act's page shows what will happen, drawn by the verb itself."""

from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from config.console.actions import OperatorAction, Rejected
from config.console.cells import badge
from invoices.admin.payloads import compared_payloads
from invoices.lifecycle import AWAITING_LOOKUP, NUMBERED, State, WrongState
from invoices.models import Invoice
from invoices.opening.buyers import InvalidBuyer
from invoices.opening.facts import Unacceptable
from invoices.opening.snapshots import beside
from invoices.operations.adopt import adopt
from invoices.operations.cancel import cancel
from invoices.operations.issue_now import issue_now
from invoices.operations.look_up import latest_attempt, look_up
from invoices.operations.refresh_configuration import refresh_configuration
from invoices.operations.replay import NOT_REPLAYABLE, replay
from invoices.operations.skip import skip
from invoices.providers.base import ProviderError

SEES_BUYERS = "invoices.view_buyer"  # who sees payloads sees buyers


class OnInvoice(OperatorAction):
    rejects = (Rejected, WrongState, Unacceptable, InvalidBuyer, ProviderError)
    logged = False  # the verbs write the invoice's own audit

    def row_version(self, row: Invoice) -> object:
        return row.state, row.audit_seq


def becomes(before: Invoice, after: Invoice, why: str = "") -> SafeString:
    """From one state to the other, in a line."""
    context = {"before": badge(before.state), "after": badge(after.state), "why": why}
    return render_to_string("invoices/state_change.html", context | {"stays": before.state == after.state})


class Replay(OnInvoice):
    name, label, permissions = "replay", "Replay", ("invoices.replay_invoice", SEES_BUYERS)
    description = "Send it again where no provider can know it; ask about it where one may. It never issues twice."
    states = tuple(set(State) - set(NOT_REPLAYABLE))

    def preview(self, row: Invoice, **_: Any) -> SafeString:
        plan = replay(row, actor="", reason="", dry_run=True)
        payloads = compared_payloads(row, plan.invoice) if plan.invoice.state == State.QUEUED else SafeString("")
        return becomes(row, plan.invoice, plan.why) + payloads

    def perform(self, row: Invoice, *, actor: str, reason: str, **_: Any) -> str:
        return replay(row, actor=actor, reason=reason).why


class LookUp(OnInvoice):
    name, label, permissions = "look-up", "Look up", ("invoices.look_up_invoice",)
    description = "Ask the provider now. Its answer counts as if the pump had asked: found is ISSUED, or a conflict."
    states = tuple({State.FAILED, State.CANCELLED, *AWAITING_LOOKUP, *NUMBERED})
    uses_network = True

    def preview(self, row: Invoice, **_: Any) -> SafeString:
        issuance = latest_attempt(row)
        context = {"issuance": issuance, "ended": row.state in (State.FAILED, State.CANCELLED)}
        return render_to_string("invoices/lookup_preview.html", context)

    def perform(self, row: Invoice, *, actor: str, reason: str, **_: Any) -> str:
        looked = look_up(row, actor=actor, reason=reason)
        return f"{looked.summary}. It is {looked.invoice.state}."


class Adopt(OnInvoice):
    name, label, permissions = "adopt", "Adopt", ("invoices.adopt_invoice",)
    description = "Record the invoice that the provider has as ours. Only a person may decide that they are the same."
    states = (State.FAILED,)
    uses_network = True

    def preview(self, row: Invoice, **_: Any) -> SafeString:
        after = adopt(row, actor="", reason="", dry_run=True)
        numbers = {"symbol": after.symbol, "number": after.number, "tax authority's code": after.code}
        ours = {"symbol": row.symbol, "number": row.number, "tax authority's code": row.code}
        return becomes(row, after, "as the provider tells it") + table(ours, numbers, "ours", "the provider's")

    def perform(self, row: Invoice, *, actor: str, reason: str, **_: Any) -> str:
        return f"adopted as {adopt(row, actor=actor, reason=reason).legal_number}"


class Resnapshot(OnInvoice):
    name, label, permissions = "re-snapshot", "Take today's configuration", ("invoices.resnapshot_invoice",)
    description = "Its seller, policy and account become the merchant's of today. It stays FAILED: replay it afterwards."
    states = (State.FAILED,)

    def preview(self, row: Invoice, **_: Any) -> SafeString:
        after = refresh_configuration(row, actor="", reason="", dry_run=True)
        then, now = ({**i.config_snapshot, "form": i.form, "symbol": i.symbol, "vat": i.vat} for i in (row, after))
        return table(then, now, "as at opening", "today")

    def perform(self, row: Invoice, *, actor: str, reason: str, **_: Any) -> str:
        after = refresh_configuration(row, actor=actor, reason=reason)
        return f"it will be issued under {after.form}{after.symbol} with today's configuration"


class IssueNow(OnInvoice):
    name, label, permissions = "issue-now", "Issue now", ("invoices.issue_invoice_now", SEES_BUYERS)
    description = "Send it without waiting for the claim window, to the buyer that is known by now."
    states = (State.WAITING,)

    def preview(self, row: Invoice, **_: Any) -> SafeString:
        after = issue_now(row, actor="", reason="", dry_run=True)
        return becomes(row, after, "due at once") + compared_payloads(row, after)

    def perform(self, row: Invoice, *, actor: str, reason: str, **_: Any) -> str:
        issue_now(row, actor=actor, reason=reason)
        return "it is due at once"


class Cancel(OnInvoice):
    name, label, permissions = "cancel", "Cancel", ("invoices.cancel_invoice",)
    description = "No invoice is owed for this order. For good: nothing leads back from CANCELLED."
    states = (State.WAITING, State.QUEUED, State.FAILED)

    def preview(self, row: Invoice, **_: Any) -> SafeString:
        return becomes(row, cancel(row, actor="", reason="", dry_run=True), "for good")

    def perform(self, row: Invoice, *, actor: str, reason: str, **_: Any) -> str:
        cancel(row, actor=actor, reason=reason)
        return "cancelled"


class Skip(OnInvoice):
    name, label, permissions = "skip", "Skip", ("invoices.skip_invoice",)
    description = "Let its lane go on without it. It stays FAILED(skipped) until somebody replays, adopts or cancels it."
    states = (State.QUEUED, State.UNCERTAIN)

    def preview(self, row: Invoice, **_: Any) -> SafeString:
        exposed = "a provider may know it: a replay will ask, never send" if row.exposed else "no provider can know it"
        return becomes(row, skip(row, actor="", reason="", dry_run=True), exposed)

    def perform(self, row: Invoice, *, actor: str, reason: str, **_: Any) -> str:
        skip(row, actor=actor, reason=reason)
        return "its lane goes on without it"


def table(then: dict[str, Any], now: dict[str, Any], left: str, right: str) -> SafeString:
    return render_to_string("invoices/side_by_side.html", {"values": beside(then, now), "left": left, "right": right})
