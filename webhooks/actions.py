"""Acts on what machines told us, and on what we tell them."""

from typing import Any

from config.console.actions import Act
from webhooks.inbound import receiving
from webhooks.models import WebhookDelivery, WebhookEndpoint, WebhookEvent
from webhooks.outbound import deliveries


class ReplayEvent(Act):
    name, label, permissions = "replay", "Replay", ("webhooks.replay_webhookevent",)
    about = "Act once more on the body as it came, now that what was wrong is mended. What was acted on stays as it is."
    many = True

    def hindered(self, row: WebhookEvent) -> str:
        return "" if row.status in (row.Status.REFUSED, row.Status.FAILED) else f"it is {row.status}"

    def foresee(self, row: WebhookEvent, **_: Any) -> str:
        of = f" of order {row.order_id}" if row.order_id else ""
        return f"{row.type}{of} is acted on as if it came now. Last time ({row.tries}.): {row.status}, {row.error}"

    def do(self, row: WebhookEvent, *, actor: str, reason: str, **_: Any) -> str:
        acted = receiving.replay(row.pk)
        return f"{acted.status}: {acted.error}" if acted.error else acted.status


class CloseEvent(Act):
    name, label, permissions = "close", "Close", ("webhooks.close_webhookevent",)
    about = "Nothing is to be done about it any more: the sender has sent another, or nothing was sold."
    many = True

    def hindered(self, row: WebhookEvent) -> str:
        return "" if row.status == WebhookEvent.Status.REFUSED else "only what was refused can be closed"

    def foresee(self, row: WebhookEvent, **_: Any) -> str:
        return f"{row.type} of order {row.order_id} counts as refused no longer. The row stays."

    def do(self, row: WebhookEvent, *, actor: str, reason: str, **_: Any) -> str:
        return "closed" if receiving.close([row.pk]) else "it is refused no longer"


class ReplayDelivery(Act):
    name, label, permissions = "replay", "Send again", ("webhooks.replay_webhookdelivery",)
    about = "Due at once, with the same webhook-id, body and place in its invoice's order, and all its tries anew."
    many = True

    def hindered(self, row: WebhookDelivery) -> str:
        return "" if row.endpoint.is_on else "its endpoint is off: turn it on first"

    def foresee(self, row: WebhookDelivery, **_: Any) -> str:
        last = row.last_error or row.last_status or "not tried yet"
        return f"{row.type} goes to {row.endpoint.url} again. It is {row.state} after {row.attempts} tries: {last}"

    def do(self, row: WebhookDelivery, *, actor: str, reason: str, **_: Any) -> str:
        deliveries.replay_one(row, actor=actor)
        return "due now"


class RemoveEndpoint(Act):
    name, label, permissions = "remove", "Remove", ("webhooks.remove_webhookendpoint",)
    about = "Nothing is delivered to it any more. The row, its history and its deliveries stay."

    def hindered(self, row: WebhookEndpoint) -> str:
        return "it is removed" if row.deleted_at else ""

    def foresee(self, row: WebhookEndpoint, **_: Any) -> str:
        return f"{row.url} hears no event any more, not even those that were to be tried again."

    def do(self, row: WebhookEndpoint, *, actor: str, reason: str, **_: Any) -> str:
        row.remove(f"removed: {reason}")
        return "removed"
