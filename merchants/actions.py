"""Operator actions on merchants, accounts and quarantined messages."""

from typing import Any

from django.db import transaction
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from config.console.actions import OperatorAction, Rejected
from config.console.history import differences
from merchants.models import Merchant, MerchantChange, Quarantine, TaxInfo
from merchants.pause import pause, resume
from merchants.sync import apply_changes, quarantine


class Pause(OperatorAction):
    """For any model with `paused` and a history."""

    name, label = "pause", "Pause"
    description = "Send none of its invoices until it is resumed. Sales, claims and look-ups continue; nothing is lost."

    def __init__(self, permission: str) -> None:
        self.permissions = (permission,)

    def disabled_reason(self, row: Any) -> str:
        return "it is already paused" if row.paused else ""

    def preview(self, row: Any, **_: Any) -> str:
        return "Within a second, none of its invoices is sent any more. Calls that are already open are recorded."

    def perform(self, row: Any, *, actor: str, reason: str, **_: Any) -> str:
        return "paused" if pause(row, actor=actor, reason=reason) else "it was already paused"


class Resume(Pause):
    name, label = "resume", "Resume"
    description = "Send its invoices again, oldest first."

    def disabled_reason(self, row: Any) -> str:
        return "" if row.paused else "it is not paused"

    def preview(self, row: Any, **_: Any) -> str:
        return "Its invoices are sent again. Those whose issue limit passed meanwhile have FAILED (late): replay them."

    def perform(self, row: Any, *, actor: str, reason: str, **_: Any) -> str:
        return "resumed" if resume(row, actor=actor, reason=reason) else "it was not paused"


class Resync(OperatorAction):
    name, label, permissions = "resync", "Resync", ("merchants.resync_merchant",)
    description = "Apply the platform's latest data of this merchant again."

    def preview(self, row: Merchant, **_: Any) -> SafeString:
        """Applies the data, reads the differences, and rolls back."""
        kinds: list[tuple[Any, dict[str, int]]] = [(Merchant, {"id": row.pk}), (TaxInfo, {"merchant_id": row.pk})]
        before = [kind.history.filter(**key).first() for kind, key in kinds]
        with transaction.atomic():
            outcome = self._resync(row, "")
            after = [kind.history.filter(**key).first() for kind, key in kinds]
            changed = [
                difference
                for new, old in zip(after, before, strict=True)
                if new and old and new.history_id != old.history_id
                for difference in differences(new, old)
            ]
            transaction.set_rollback(True)
        return render_to_string("merchants/resync_preview.html", {"outcome": outcome, "differences": changed})

    def perform(self, row: Merchant, *, actor: str, reason: str, **_: Any) -> str:
        return str(self._resync(row, f"resync: {reason}").value)

    def _resync(self, row: Merchant, source: str) -> apply_changes.Outcome:
        try:
            return apply_changes.resync(row.code, source=source)
        except MerchantChange.DoesNotExist:
            raise Rejected("The platform has sent no data of this merchant.") from None


class ReplayMessage(OperatorAction):
    name, label, permissions = "replay", "Replay", ("merchants.replay_quarantine",)
    description = "Apply the message again, unchanged, after the cause has been fixed."
    for_many_rows = True

    def disabled_reason(self, row: Quarantine) -> str:
        return "it has been replayed" if row.replayed_at else ""

    def preview(self, row: Quarantine, **_: Any) -> str:
        return f"The {len(row.value or b'')} bytes from {row.topic} are applied again. Last error: {row.error}"

    def perform(self, row: Quarantine, *, actor: str, reason: str, **_: Any) -> str:
        error = quarantine.replay(row.pk)
        return f"still wrong: {error}" if error else "replayed"
