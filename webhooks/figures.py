"""The webhooks' figures: what was turned away or not acted on, what merchants have not been told."""

from collections.abc import Iterable
from datetime import timedelta

from config import clock, tallies
from config.figures import Figure, listed, one, rows
from webhooks.events import HANDLERS
from webhooks.models import WebhookEvent
from webhooks.outcomes import GIVEN_UP

REJECTED = "webhook_rejected"
REASONS = ("signature", "not_json", "no_type", "webhook_id_reused", "refused")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DEAD_MOST = 10_000  # dead deliveries are kept for ever: counted no further

OTHER = "other"  # types that we do not know: a label may not be anybody's to choose
NOT_ACTED = f"""
SELECT status, CASE WHEN type = ANY(%s) THEN type ELSE '{OTHER}' END, count(*)
FROM webhooks_webhookevent WHERE status <> 'done' AND status <> 'closed' GROUP BY 1, 2
"""
PENDING = """
SELECT count(*), min(d.not_before) FROM webhooks_webhookdelivery d
JOIN webhooks_webhookendpoint e ON e.id = d.endpoint_id
WHERE d.state = 'pending' AND e.disabled_reason = '' AND e.deleted_at IS NULL
"""
DEAD = "SELECT count(*) FROM (SELECT FROM webhooks_webhookdelivery WHERE state = 'dead' LIMIT %(most)s) AS dead"
ENDPOINTS = """
SELECT count(*) FILTER (WHERE disabled_reason <> ''), count(*) FILTER (WHERE failing_since IS NOT NULL)
FROM webhooks_webhookendpoint
WHERE deleted_at IS NULL AND (disabled_reason <> '' OR failing_since IS NOT NULL)
"""


def read() -> Iterable[Figure]:
    yield from _inbound()
    yield from _outbound()


def _inbound() -> Iterable[Figure]:
    rejected = tallies.since(clock.now() - HOUR, [REJECTED])
    yield Figure(
        "webhooks_rejected",
        "Webhooks turned away in the last hour, by route and reason.",
        ("route", "reason"),
        {tuple(label.split(":", 1)): count for (_, label), count in rejected.items()},
        listed("webhooks_webhookevent", status__exact=WebhookEvent.Status.REFUSED),
        every=[(route, reason) for route in WebhookEvent.Route.values for reason in REASONS],
    )
    found = rows(NOT_ACTED, [list(HANDLERS["internal"])])
    yield Figure(
        "webhooks_not_acted",
        "Verified events that were refused or failed, by status and type. A refused payment was paid all the same.",
        ("status", "type"),
        {(status, kind): count for status, kind, count in found},
        listed("webhooks_webhookevent", status__exact=WebhookEvent.Status.REFUSED),
        {(s, t): listed("webhooks_webhookevent", status__exact=s, type=t) for s, t, _ in found if t != OTHER},
        every=[(status, kind) for status in ("refused", "failed") for kind in (*HANDLERS["internal"], OTHER)],
    )


def _outbound() -> Iterable[Figure]:
    pending, oldest = rows(PENDING)[0]
    late = max(0.0, (clock.now() - oldest).total_seconds()) if oldest else 0.0
    pending_link = listed("webhooks_webhookdelivery", state__exact="pending")
    yield one("deliveries_pending", "Events that merchants have not been told yet.", pending, pending_link)
    yield one("deliveries_oldest_seconds", "How late the oldest of them is.", late, pending_link)
    dead = rows(DEAD, {"most": DEAD_MOST})[0][0]
    yield one(
        "deliveries_dead",
        f"Events whose every try was used, up to {DEAD_MOST}.",
        dead,
        listed("webhooks_webhookdelivery", state__exact="dead"),
    )
    disabled, failing = rows(ENDPOINTS)[0]
    link = listed("webhooks_webhookendpoint", disabled_reason__isempty=0)
    yield one("endpoints_disabled", "Endpoints that are switched off.", disabled, link)
    yield one("endpoints_failing", "Endpoints that fail.", failing, listed("webhooks_webhookendpoint"))
    given_up = sum(tallies.since(clock.now() - DAY, [GIVEN_UP]).values())
    yield one("endpoints_given_up", "Endpoints that we switched off in the last day: gone, or silent.", given_up, link)
