"""Operator actions on events, deliveries and endpoints."""

from typing import Any

from config.console.actions import OperatorAction
from webhooks.inbound import receiving
from webhooks.models import WebhookDelivery, WebhookEndpoint, WebhookEvent
from webhooks.outbound import deliveries


class ReplayEvent(OperatorAction):
    name, label, permissions = "replay", "Replay", ("webhooks.replay_webhookevent",)
    description = "Apply the event again, unchanged, after the cause has been fixed. A done event stays as it is."
    for_many_rows = True

    def disabled_reason(self, row: WebhookEvent) -> str:
        return "" if row.status in (row.Status.REFUSED, row.Status.FAILED) else f"it is {row.status}"

    def preview(self, row: WebhookEvent, **_: Any) -> str:
        order = f" of order {row.order_id}" if row.order_id else ""
        result = f"{row.status}, {row.error}"
        return f"{row.type}{order} is applied as if it arrived now. Result of attempt {row.tries}: {result}"

    def perform(self, row: WebhookEvent, *, actor: str, reason: str, **_: Any) -> str:
        event = receiving.replay_event(row.pk)
        return f"{event.status}: {event.error}" if event.error else event.status


class CloseEvent(OperatorAction):
    name, label, permissions = "close", "Close", ("webhooks.close_webhookevent",)
    description = "No action is needed any more: the sender has sent another event, or nothing was sold."
    for_many_rows = True

    def disabled_reason(self, row: WebhookEvent) -> str:
        return "" if row.status == WebhookEvent.Status.REFUSED else "only a refused event can be closed"

    def preview(self, row: WebhookEvent, **_: Any) -> str:
        return f"{row.type} of order {row.order_id} is no longer counted as refused. The row stays."

    def perform(self, row: WebhookEvent, *, actor: str, reason: str, **_: Any) -> str:
        return "closed" if receiving.close_events([row.pk]) else "it is no longer refused"


class ReplayDelivery(OperatorAction):
    name, label, permissions = "replay", "Send again", ("webhooks.replay_webhookdelivery",)
    description = "Send it now, with the same webhook-id, body and place in its invoice's order, and with all retries."
    for_many_rows = True

    def disabled_reason(self, row: WebhookDelivery) -> str:
        return "" if row.endpoint.is_on else "its endpoint is disabled: enable it first"

    def preview(self, row: WebhookDelivery, **_: Any) -> str:
        last = row.last_error or row.last_status or "not sent yet"
        return (
            f"{row.type} is sent to {row.endpoint.url} again. {row.attempts} attempts so far, now {row.state}: {last}"
        )

    def perform(self, row: WebhookDelivery, *, actor: str, reason: str, **_: Any) -> str:
        deliveries.replay_one(row, actor=actor)
        return "due now"


class RemoveEndpoint(OperatorAction):
    name, label, permissions = "remove", "Remove", ("webhooks.remove_webhookendpoint",)
    description = "Send nothing to it any more. The row, its history and its deliveries stay."

    def disabled_reason(self, row: WebhookEndpoint) -> str:
        return "it has been removed" if row.deleted_at else ""

    def preview(self, row: WebhookEndpoint, **_: Any) -> str:
        return f"{row.url} gets no more events, not even pending ones."

    def perform(self, row: WebhookEndpoint, *, actor: str, reason: str, **_: Any) -> str:
        row.remove(f"removed: {reason}")
        return "removed"
