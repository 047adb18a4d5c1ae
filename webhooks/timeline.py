"""Timeline entries for an invoice's webhooks: incoming events of its order, and outgoing deliveries."""

import json
from typing import Any

from django.contrib.admin.models import LogEntry
from django.urls import reverse

from config.console import action_log
from config.console.cells import format_time
from config.console.timeline import MAX_ENTRIES, TimelineContext, TimelineEntry, newest_entries
from config.monitoring.gauges import changelist_url
from invoices.cells import as_json
from webhooks.models import WebhookDelivery, WebhookEvent

EVENT_RESULTS = {
    WebhookEvent.Status.DONE: "applied",
    WebhookEvent.Status.REFUSED: "refused",
    WebhookEvent.Status.FAILED: "failed with an internal error; retried automatically",
    WebhookEvent.Status.CLOSED: "refused, and closed by an operator",
}
DELIVERY_RESULTS = {
    WebhookDelivery.State.PENDING: "not delivered yet",
    WebhookDelivery.State.DELIVERED: "delivered",
    WebhookDelivery.State.DEAD: "not delivered; all retries failed",
}


def entries(context: TimelineContext) -> list[TimelineEntry]:
    parts: list[TimelineEntry] = []
    if context.has_perm("webhooks.view_webhookevent"):
        order = {"merchant_code": context.merchant_code, "order_id": context.order_id}
        events = list(WebhookEvent.objects.filter(**order).order_by("-id")[: MAX_ENTRIES + 1])
        link = changelist_url("webhooks_webhookevent", **order)
        parts += newest_entries(events, _event_entry, what="incoming webhooks", link=link)
        parts += _action_entries(WebhookEvent, events[:MAX_ENTRIES], link)
    if context.has_perm("webhooks.view_webhookdelivery"):
        rows = WebhookDelivery.objects.filter(invoice=context.invoice_id).select_related("endpoint")
        deliveries = list(rows.order_by("-id")[: MAX_ENTRIES + 1])
        link = changelist_url("webhooks_webhookdelivery", invoice__id__exact=context.invoice_id)
        parts += newest_entries(deliveries, _delivery_entry, what="outgoing webhooks", link=link)
        parts += _action_entries(WebhookDelivery, deliveries[:MAX_ENTRIES], link)
    return parts


def _event_entry(row: WebhookEvent) -> TimelineEntry:
    return TimelineEntry(
        at=row.created_at,
        kind="webhook-in",
        sentence=f"Webhook {row.type} received: {EVENT_RESULTS[WebhookEvent.Status(row.status)]}",
        reason=row.error,
        outcome="" if row.status == WebhookEvent.Status.DONE else row.status,
        actor=f"webhook:{row.route}",
        details={
            "webhook id": row.webhook_id,
            "tries": row.tries if row.tries > 1 else "",
            "body": _body(row.body),
            f"response {row.answer_status}": as_json(row.answer),
        },
        link=reverse("admin:webhooks_webhookevent_change", args=[row.pk]),
    )


def _delivery_entry(row: WebhookDelivery) -> TimelineEntry:
    return TimelineEntry(
        at=row.created_at,
        kind="webhook-out",
        sentence=f"Webhook {row.type}: {DELIVERY_RESULTS[WebhookDelivery.State(row.state)]}",
        reason=row.last_error,
        outcome="" if row.state == WebhookDelivery.State.DELIVERED else row.state,
        details={
            "endpoint": row.endpoint.url,
            "attempts": row.attempts,
            "last response": f"HTTP {row.last_status}" if row.last_status else "",
            "delivered": format_time(row.delivered_at) if row.delivered_at else "",
            "next attempt": format_time(row.next_attempt_at) if row.next_attempt_at else "",
            "body": _body(row.body),
        },
        link=reverse("admin:webhooks_webhookdelivery_change", args=[row.pk]),
    )


def _action_entries(model: type[WebhookEvent | WebhookDelivery], rows: list[Any], link: str) -> list[TimelineEntry]:
    """The operator actions on these rows. The rows themselves have only their latest state."""
    types = {row.pk: row.type for row in rows}

    def action_entry(line: LogEntry) -> TimelineEntry:
        action = action_log.parse(line)
        return TimelineEntry(
            at=action.at,
            kind="edit",
            sentence=": ".join(filter(None, (f"Webhook {types[action.row]}", action.label, action.result))),
            reason=action.reason,
            actor=f"user:{action.user_id}",
            link=reverse(f"admin:webhooks_{model._meta.model_name}_history", args=[action.row]),
        )

    return newest_entries(action_log.lines_of(model, types), action_entry, what="actions on webhooks", link=link)


def _body(text: str) -> Any:
    try:
        return as_json(json.loads(text))
    except ValueError:
        return "not JSON"  # so it cannot be masked
