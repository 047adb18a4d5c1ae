"""Find events that were not applied, by order: the order was paid but may have no invoice."""

from collections.abc import Callable

from django.urls import reverse

from config.console.search import Hit
from invoices.search.query import Candidate, Kind
from webhooks.models import WebhookEvent

LIMIT = 20


def hits(candidates: list[Candidate], may: Callable[[str], bool]) -> list[Hit]:
    order = next((candidate.value for candidate in candidates if candidate.kind == Kind.ORDER), None)
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
