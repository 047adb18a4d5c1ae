"""Events that were not acted on: an order that was paid, though no invoice tells of it."""

from collections.abc import Callable

from django.urls import reverse

from config.console.search import Hit
from invoices.search.query import Candidate, Kind
from webhooks.models import WebhookEvent

LIMIT = 20


def hits(asked: list[Candidate], may: Callable[[str], bool]) -> list[Hit]:
    order = next((look.value for look in asked if look.kind == Kind.ORDER), None)
    if not order or not may("webhooks.view_webhookevent"):
        return []
    rows = WebhookEvent.objects.filter(order_id=order).exclude(status=WebhookEvent.Status.DONE).order_by()
    return [
        Hit(
            title=f"{row.order_id}: {row.type} – {row.error}",
            merchant=row.merchant_code,
            state=row.status,
            at=row.created_at,
            link=reverse("admin:webhooks_webhookevent_change", args=[row.pk]),
            how=Kind.ORDER,
        )
        for row in rows[:LIMIT]
    ]
