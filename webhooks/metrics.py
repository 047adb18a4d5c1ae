"""The webhooks' figures: what was turned away or not acted on, what merchants have not been told."""

from collections.abc import Iterable
from datetime import timedelta

from django.db.models import Count, Min, Q
from prometheus_client.core import Metric

from config.base import clock
from config.monitoring.counters import count_since
from config.monitoring.gauges import Figure, listed, one, rows
from config.monitoring.metrics import Totals, counter, labelled
from invoices.counters import OPENED
from webhooks.inbound.events import HANDLERS
from webhooks.inbound.receiving import ACCEPTED
from webhooks.models import WebhookDelivery, WebhookEvent
from webhooks.outbound.outcomes import GIVEN_UP

REJECTED = "webhook_rejected"
REASONS = ("signature", "not_json", "no_type", "webhook_id_reused", "refused")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DEAD_MOST = 10_000  # dead deliveries are kept for ever: counted no further

TO_SEND = Q(state=WebhookDelivery.State.PENDING, endpoint__disabled_reason="", endpoint__deleted_at=None)

KNOWN = tuple(HANDLERS["internal"])
ANY, OTHER = "any", "other"  # other: types that we do not know: a label may not be anybody's to choose
NOT_ACTED = f"""
SELECT status, CASE WHEN type = ANY(%s) THEN type ELSE '{OTHER}' END, count(*)
FROM webhooks_webhookevent WHERE status <> 'done' AND status <> 'closed' GROUP BY 1, 2
"""
DEAD = "SELECT count(*) FROM (SELECT FROM webhooks_webhookdelivery WHERE state = 'dead' LIMIT %(most)s) AS dead"
ENDPOINTS = """
SELECT count(*) FILTER (WHERE disabled_reason <> ''), count(*) FILTER (WHERE failing_since IS NOT NULL)
FROM webhooks_webhookendpoint
WHERE deleted_at IS NULL AND (disabled_reason <> '' OR failing_since IS NOT NULL)
"""


def gauges() -> Iterable[Figure]:
    yield from _inbound()
    yield from _outbound()


def _inbound() -> Iterable[Figure]:
    rejected = count_since(clock.now() - HOUR, [REJECTED])
    yield Figure(
        "webhooks_rejected",
        "Webhooks turned away in the last hour, by route and reason.",
        ("route", "reason"),
        {tuple(label.split(":", 1)): count for (_, label), count in rejected.items()},
        every=[(route, reason) for route in WebhookEvent.Route.values for reason in REASONS],
    )
    found = rows(NOT_ACTED, [list(KNOWN)])
    not_acted = ("refused", "failed")
    every = [(status, kind) for status in not_acted for kind in (*KNOWN, OTHER)]
    links = {(status, kind): _events(kind, status__exact=status) for status, kind in every}
    yield Figure(
        "webhooks_not_acted",
        "Verified events that were refused or failed, by status and type. A refused payment was paid all the same.",
        ("status", "type"),
        {(status, kind): count for status, kind, count in found},
        _events(ANY),
        links | {(status,): _events(ANY, status__exact=status) for status in not_acted},
        every,
    )


def _events(kind: str, **filters: str) -> str:
    return listed("webhooks_webhookevent", not_acted=kind, **filters)


def _outbound() -> Iterable[Figure]:
    pending, oldest = WebhookDelivery.objects.filter(TO_SEND).aggregate(n=Count("pk"), at=Min("not_before")).values()
    late = max(0.0, (clock.now() - oldest).total_seconds()) if oldest else 0.0
    pending_link = listed("webhooks_webhookdelivery", work="send")
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
    for name, help, count, field in (
        ("endpoints_disabled", "Endpoints that are switched off.", disabled, "disabled_reason"),
        ("endpoints_failing", "Endpoints that fail.", failing, "failing_since"),
    ):
        living = {f"{field}__isempty": 0, "deleted_at__isempty": 1}
        yield one(name, help, count, listed("webhooks_webhookendpoint", **living))
    given_up = sum(count_since(clock.now() - DAY, [GIVEN_UP]).values())
    yield one("endpoints_given_up", "Endpoints that we switched off in the last day: gone, or silent.", given_up)


OUTCOMES = ("opened", "exists", "parked", "stored")


def counters(totals: Totals) -> Iterable[Metric]:
    routes = WebhookEvent.Route.values
    opened: dict[tuple[str, ...], int] = {
        (route, "opened"): totals.get((OPENED, f"webhook:{route}"), 0) for route in routes
    }
    yield counter(
        "events_accepted",
        "Events that were stored and acted on, by route and outcome.",
        ["route", "outcome"],
        {**labelled(totals, ACCEPTED), **opened},
        [(route, outcome) for route in routes for outcome in OUTCOMES],
    )
    yield counter(
        "webhook_rejects",
        "Webhooks turned away, by route and reason.",
        ["route", "reason"],
        labelled(totals, REJECTED),
        [(route, reason) for route in routes for reason in REASONS],
    )
