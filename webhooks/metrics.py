"""Gauges and counters of webhooks: events rejected or not applied, deliveries pending or dead, endpoints that fail."""

from collections.abc import Iterable
from datetime import timedelta

from django.db.models import Count, Min, Q
from prometheus_client.core import Metric

from config.base import clock
from config.monitoring.counters import count_since
from config.monitoring.gauges import Gauge, changelist_url, fetch_rows, scalar_gauge
from config.monitoring.metrics import Totals, counter_family, counts_by_label
from invoices.counters import OPENED
from webhooks.inbound.events import EVENTS_OF_ROUTE
from webhooks.inbound.receiving import ACCEPTED
from webhooks.models import WebhookDelivery, WebhookEvent
from webhooks.outbound.endpoint_health import GIVEN_UP

REJECTED = "webhook_rejected"
OUTCOMES = ("opened", "exists", "parked", "stored")
REASONS = ("signature", "not_json", "no_type", "webhook_id_reused", "refused")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MAX_DEAD = 10_000  # dead deliveries are kept for ever, so counting stops here

UNDELIVERED = Q(state=WebhookDelivery.State.PENDING, endpoint__disabled_reason="", endpoint__deleted_at=None)

KNOWN_TYPES = tuple(EVENTS_OF_ROUTE["internal"])
ANY_TYPE, OTHER_TYPES = "any", "other"  # unknown types share one label, so that senders cannot create labels
NOT_APPLIED = f"""
SELECT status, CASE WHEN type = ANY(%s) THEN type ELSE '{OTHER_TYPES}' END, count(*)
FROM webhooks_webhookevent WHERE status <> 'done' AND status <> 'closed' GROUP BY 1, 2
"""
DEAD = "SELECT count(*) FROM (SELECT FROM webhooks_webhookdelivery WHERE state = 'dead' LIMIT %(most)s) AS dead"
ENDPOINTS = """
SELECT count(*) FILTER (WHERE disabled_reason <> ''), count(*) FILTER (WHERE failing_since IS NOT NULL)
FROM webhooks_webhookendpoint
WHERE deleted_at IS NULL AND (disabled_reason <> '' OR failing_since IS NOT NULL)
"""


def gauges() -> Iterable[Gauge]:
    yield from _inbound_gauges()
    yield from _outbound_gauges()


def _inbound_gauges() -> Iterable[Gauge]:
    rejected = count_since(clock.now() - HOUR, [REJECTED])
    yield Gauge(
        "webhooks_rejected",
        "Webhooks rejected in the last hour, by route and reason.",
        ("route", "reason"),
        {tuple(label.split(":", 1)): count for (_, label), count in rejected.items()},
        combinations=[(route, reason) for route in WebhookEvent.Route.values for reason in REASONS],
    )
    rows = fetch_rows(NOT_APPLIED, [list(KNOWN_TYPES)])
    statuses = ("refused", "failed")
    combinations = [(status, kind) for status in statuses for kind in (*KNOWN_TYPES, OTHER_TYPES)]
    links = {(status, kind): _events_url(kind, status__exact=status) for status, kind in combinations}
    yield Gauge(
        "webhooks_not_applied",
        "Verified events that were refused or failed, by status and type. A refused payment was still paid.",
        ("status", "type"),
        {(status, kind): count for status, kind, count in rows},
        _events_url(ANY_TYPE),
        links | {(status,): _events_url(ANY_TYPE, status__exact=status) for status in statuses},
        combinations,
    )


def _events_url(kind: str, **filters: str) -> str:
    return changelist_url("webhooks_webhookevent", not_applied=kind, **filters)


def _outbound_gauges() -> Iterable[Gauge]:
    undelivered = WebhookDelivery.objects.filter(UNDELIVERED)
    pending, oldest = undelivered.aggregate(n=Count("pk"), at=Min("not_before")).values()
    late = max(0.0, (clock.now() - oldest).total_seconds()) if oldest else 0.0
    link = changelist_url("webhooks_webhookdelivery", worklist="send")
    yield scalar_gauge("deliveries_pending", "Deliveries that are pending, to enabled endpoints.", pending, link)
    yield scalar_gauge("deliveries_oldest_seconds", "Seconds by which the oldest pending delivery is late.", late, link)
    dead = fetch_rows(DEAD, {"most": MAX_DEAD})[0][0]
    yield scalar_gauge(
        "deliveries_dead",
        f"Deliveries whose retries all failed, counted up to {MAX_DEAD}.",
        dead,
        changelist_url("webhooks_webhookdelivery", state__exact="dead"),
    )
    disabled, failing = fetch_rows(ENDPOINTS)[0]
    for name, help, count, field in (
        ("endpoints_disabled", "Endpoints that are disabled.", disabled, "disabled_reason"),
        ("endpoints_failing", "Endpoints that have failed since their last success.", failing, "failing_since"),
    ):
        link = changelist_url("webhooks_webhookendpoint", **{f"{field}__isempty": 0, "deleted_at__isempty": 1})
        yield scalar_gauge(name, help, count, link)
    given_up = sum(count_since(clock.now() - DAY, [GIVEN_UP]).values())
    yield scalar_gauge("endpoints_given_up", "Endpoints disabled automatically in the last day.", given_up)


def counters(totals: Totals) -> Iterable[Metric]:
    routes = WebhookEvent.Route.values
    opened: dict[tuple[str, ...], int] = {
        (route, "opened"): totals.get((OPENED, f"webhook:{route}"), 0) for route in routes
    }
    yield counter_family(
        "events_accepted",
        "Events that were stored and applied, by route and outcome.",
        ["route", "outcome"],
        {**counts_by_label(totals, ACCEPTED), **opened},
        [(route, outcome) for route in routes for outcome in OUTCOMES],
    )
    yield counter_family(
        "webhook_rejects",
        "Webhooks rejected, by route and reason.",
        ["route", "reason"],
        counts_by_label(totals, REJECTED),
        [(route, reason) for route in routes for reason in REASONS],
    )
