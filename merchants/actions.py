"""Acts on merchants, their lanes and what the platform told us of them."""

from typing import Any

from django.db import transaction
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from config.console.actions import OperatorAction, Rejected
from config.console.history import differences
from merchants.models import Merchant, MerchantChange, Quarantine, TaxInfo
from merchants.pause import pause, resume
from merchants.sync import changes, quarantine


class Pause(OperatorAction):
    """Of anything with `paused` and a history."""

    name, label = "pause", "Pause"
    description = "Send nothing of it until it is resumed. Sales, claims and look-ups go on; nothing is lost."

    def __init__(self, permission: str) -> None:
        self.permissions = (permission,)

    def disabled_reason(self, row: Any) -> str:
        return "it is paused already" if row.paused else ""

    def preview(self, row: Any, **_: Any) -> str:
        return "From the next take on, within a second, none of its invoices is sent. What is on its way is recorded."

    def perform(self, row: Any, *, actor: str, reason: str, **_: Any) -> str:
        return "paused" if pause(row, actor=actor, reason=reason) else "it was paused already"


class Resume(Pause):
    name, label = "resume", "Resume"
    description = "Go on sending, the oldest first."

    def disabled_reason(self, row: Any) -> str:
        return "" if row.paused else "it is not paused"

    def preview(self, row: Any, **_: Any) -> str:
        return (
            "Its invoices are sent again. Those whose issue limit has passed meanwhile are FAILED(late): replay them."
        )

    def perform(self, row: Any, *, actor: str, reason: str, **_: Any) -> str:
        return "resumed" if resume(row, actor=actor, reason=reason) else "it was not paused"


class Resync(OperatorAction):
    name, label, permissions = "resync", "Resync", ("merchants.resync_merchant",)
    description = "Act once more on what the platform told us last of this merchant."

    def preview(self, row: Merchant, **_: Any) -> SafeString:
        """Done, looked at and rolled back."""
        kinds: list[tuple[Any, dict[str, int]]] = [(Merchant, {"id": row.pk}), (TaxInfo, {"merchant_id": row.pk})]
        before = [kind.history.filter(**of).first() for kind, of in kinds]
        with transaction.atomic():
            outcome = self._replay(row, "")
            after = [kind.history.filter(**of).first() for kind, of in kinds]
            found = [
                difference
                for new, old in zip(after, before, strict=True)
                if new and old and new.history_id != old.history_id
                for difference in differences(new, old)
            ]
            transaction.set_rollback(True)
        return render_to_string("merchants/resynced.html", {"outcome": outcome, "differences": found})

    def perform(self, row: Merchant, *, actor: str, reason: str, **_: Any) -> str:
        return str(self._replay(row, f"resync: {reason}").value)

    def _replay(self, row: Merchant, source: str) -> changes.Outcome:
        try:
            return changes.replay(row.code, source=source)
        except MerchantChange.DoesNotExist:
            raise Rejected("The platform has told us nothing of this merchant.") from None


class ReplayMessage(OperatorAction):
    name, label, permissions = "replay", "Replay", ("merchants.replay_quarantine",)
    description = "Act once more on the message as it came, now that what was wrong is mended."
    for_many_rows = True

    def disabled_reason(self, row: Quarantine) -> str:
        return "it was replayed" if row.replayed_at else ""

    def preview(self, row: Quarantine, **_: Any) -> str:
        return f"{len(row.value or b'')} bytes of {row.topic} are read again. Last time: {row.error}"

    def perform(self, row: Quarantine, *, actor: str, reason: str, **_: Any) -> str:
        wrong = quarantine.replay(row.pk)
        return f"still wrong: {wrong}" if wrong else "replayed"
