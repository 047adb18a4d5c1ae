"""Update endpoints after calls: note failures, pause an endpoint that fails, and disable one that is gone."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q
from structlog.stdlib import get_logger

from config.base import clock
from config.monitoring import counters
from webhooks.models import WebhookEndpoint
from webhooks.outbound.sending import Result

log = get_logger(__name__)
GONE = 410
GIVEN_UP = "endpoint_given_up"  # the counter's name
MAX_PAUSE = timedelta(minutes=1)  # between two calls to a failing endpoint; reached after ten minutes of failures


def update_endpoints(results: list[Result]) -> None:
    """Locks and writes only endpoints that failed now or were failing before. Needs a transaction."""
    by_endpoint: dict[int, list[Result]] = {}
    for result in results:
        by_endpoint.setdefault(result.call.endpoint_id, []).append(result)
    failed = [pk for pk, own in by_endpoint.items() if not all(result.ok for result in own)]
    rows = WebhookEndpoint.objects.filter(Q(pk__in=failed) | Q(pk__in=by_endpoint, failing_since__isnull=False))
    for endpoint in rows.order_by("pk").select_for_update(no_key=True):
        own = by_endpoint[endpoint.pk]
        if any(result.status == GONE for result in own):
            _disable(endpoint, "It answered 410 Gone.")
        elif any(result.ok for result in own):
            _update(endpoint, failing_since=None, held_until=_retry_after(own))
        else:
            _record_failure(endpoint, own)


def _record_failure(endpoint: WebhookEndpoint, results: list[Result]) -> None:
    now = clock.now()
    since = endpoint.failing_since or now
    if now - since >= timedelta(seconds=settings.WEBHOOK_GIVE_UP):
        days = (now - since) / timedelta(days=1)
        _disable(endpoint, f"No success for {days:.0f} days; the last error: {results[-1].error}."[:200])
        return
    # The pause grows with the time of failing, so that a single failed event does not delay the others.
    pause = now + min((now - since) / 10, MAX_PAUSE)
    _update(endpoint, failing_since=since, held_until=max(pause, _retry_after(results) or pause))


def _retry_after(results: list[Result]) -> datetime | None:
    """The end of the pause that the endpoint requested; None if it requested none."""
    longest = max((result.retry_after or 0 for result in results), default=0)
    return clock.now() + timedelta(seconds=longest) if longest else None


def _update(endpoint: WebhookEndpoint, **values: datetime | None) -> None:
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(**values)  # writes no history row


def _disable(endpoint: Any, reason: str) -> None:
    """Pending deliveries stay, so that an enabled endpoint gets what it missed. Its failures then start at zero."""
    if endpoint.disabled_reason:
        return
    endpoint.disabled_reason, endpoint.failing_since, endpoint.held_until = reason, None, None
    endpoint._change_reason = "worker"
    endpoint.save(update_fields=["disabled_reason", "failing_since", "held_until", "updated_at"])
    counters.count({(GIVEN_UP, ""): 1})
    log.error("[webhookEndpointDisabled]", endpoint=endpoint.pk, why=reason)
