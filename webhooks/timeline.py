"""What machines told us of an invoice's order, and what endpoints were told of the invoice."""

import json
from typing import Any

from django.contrib.admin.models import LogEntry
from django.urls import reverse

from config.console import action_log
from config.console.cells import moment
from config.console.timeline import CAP, Moment, Subject, newest
from config.monitoring.gauges import listed
from invoices.cells import as_json
from webhooks.models import WebhookDelivery, WebhookEvent

GOT = {
    WebhookEvent.Status.DONE: "acted on",
    WebhookEvent.Status.REFUSED: "refused",
    WebhookEvent.Status.FAILED: "our fault: it is tried again",
    WebhookEvent.Status.CLOSED: "refused, and nothing is to be done about it any more",
}
TOLD = {
    WebhookDelivery.State.PENDING: "not delivered yet",
    WebhookDelivery.State.DELIVERED: "delivered",
    WebhookDelivery.State.DEAD: "never delivered: every retry was used",
}


def entries(subject: Subject) -> list[Moment]:
    moments: list[Moment] = []
    if subject.may("webhooks.view_webhookevent"):
        of_order = WebhookEvent.objects.filter(order_id=subject.order_id, merchant_code=subject.merchant_code)
        events = list(of_order.order_by("-id")[: CAP + 1])
        link = listed("webhooks_webhookevent", merchant_code=subject.merchant_code, order_id=subject.order_id)
        moments += newest(events, _event, what="webhooks in", link=link)
        moments += _acts(WebhookEvent, events[:CAP], link)
    if subject.may("webhooks.view_webhookdelivery"):
        of_invoice = WebhookDelivery.objects.filter(invoice=subject.invoice_id).select_related("endpoint")
        deliveries = list(of_invoice.order_by("-id")[: CAP + 1])
        link = listed("webhooks_webhookdelivery", invoice__id__exact=subject.invoice_id)
        moments += newest(deliveries, _delivery, what="webhooks out", link=link)
        moments += _acts(WebhookDelivery, deliveries[:CAP], link)
    return moments


def _event(row: WebhookEvent) -> Moment:
    return Moment(
        at=row.created_at,
        kind="webhook-in",
        sentence=f"Webhook {row.type} came in: {GOT[WebhookEvent.Status(row.status)]}",
        why=row.error,
        outcome="" if row.status == WebhookEvent.Status.DONE else row.status,
        actor=f"webhook:{row.route}",
        facts={
            "webhook id": row.webhook_id,
            "tries": row.tries if row.tries > 1 else "",
            "body": _body(row.body),
            f"answered {row.answer_status}": as_json(row.answer),
        },
        link=reverse("admin:webhooks_webhookevent_change", args=[row.pk]),
    )


def _delivery(row: WebhookDelivery) -> Moment:
    return Moment(
        at=row.created_at,
        kind="webhook-out",
        sentence=f"Webhook {row.type}: {TOLD[WebhookDelivery.State(row.state)]}",
        why=row.last_error,
        outcome="" if row.state == WebhookDelivery.State.DELIVERED else row.state,
        facts={
            "endpoint": row.endpoint.url,
            "attempts": row.attempts,
            "last answer": f"HTTP {row.last_status}" if row.last_status else "",
            "delivered": moment(row.delivered_at) if row.delivered_at else "",
            "next attempt": moment(row.next_attempt_at) if row.next_attempt_at else "",
            "body": _body(row.body),
        },
        link=reverse("admin:webhooks_webhookdelivery_change", args=[row.pk]),
    )


def _acts(model: type[WebhookEvent | WebhookDelivery], rows: list[Any], link: str) -> list[Moment]:
    """What operators did to them: the rows themselves only tell how they are now."""
    types = {row.pk: row.type for row in rows}

    def tell(line: LogEntry) -> Moment:
        act = action_log.read(line)
        return Moment(
            at=act.at,
            kind="edit",
            sentence=": ".join(filter(None, (f"Webhook {types[act.row]}", act.label, act.what))),
            why=act.reason,
            actor=f"user:{act.user_id}",
            link=reverse(f"admin:webhooks_{model._meta.model_name}_history", args=[act.row]),
        )

    return newest(action_log.lines(model, types), tell, what="acts on webhooks", link=link)


def _body(text: str) -> Any:
    try:
        return as_json(json.loads(text))
    except ValueError:
        return "not JSON"  # and so nothing that could be masked
