"""What Prometheus counts of webhooks."""

from collections.abc import Iterable

from prometheus_client.core import Metric

from config.monitoring.metrics import Totals, counter, labelled
from invoices.counters import OPENED
from webhooks.inbound.receiving import ACCEPTED
from webhooks.metrics import REASONS, REJECTED
from webhooks.models import WebhookEvent

OUTCOMES = ("opened", "exists", "parked", "stored")


def read(totals: Totals) -> Iterable[Metric]:
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
