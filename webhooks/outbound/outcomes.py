"""What a batch of calls means: for each delivery its next turn, for each endpoint whether it works.

Written under the locks in the order of `take`: endpoints by id, then deliveries by id.
"""

import random
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from structlog.stdlib import get_logger

from config.base import clock
from config.monitoring import counters
from webhooks.models import WebhookDelivery, WebhookEndpoint
from webhooks.outbound.sending import Outcome

log = get_logger(__name__)
GONE = 410
GIVEN_UP = "endpoint_given_up"  # the tally
LONGEST_PAUSE = timedelta(minutes=1)  # between two tries of an endpoint that has been failing for ten minutes
JITTER = 0.1

# Only whoever has the delivery's turn may write: a replay, or another worker after the lease, has made it their own.
WRITE = """
UPDATE webhooks_webhookdelivery AS d
SET state = new.state, not_before = new.not_before, last_status = new.last_status, last_error = new.last_error,
    delivered_at = new.delivered_at, taken_at = NULL, updated_at = %s
FROM unnest(%s::bigint[], %s::timestamptz[], %s::text[], %s::timestamptz[], %s::int[], %s::text[], %s::timestamptz[])
    AS new(id, taken_at, state, not_before, last_status, last_error, delivered_at)
WHERE d.id = new.id AND d.taken_at = new.taken_at
"""


def record(finished: list[Outcome]) -> None:
    if not finished:
        return
    with transaction.atomic():
        _judge_endpoints(finished)
        ids = sorted(outcome.call.delivery_id for outcome in finished)
        list(
            WebhookDelivery.objects.filter(pk__in=ids)
            .order_by("pk")
            .select_for_update(no_key=True)
            .values_list("pk", flat=True)
        )
        now = clock.now()
        rows = [_row(outcome, now) for outcome in finished]
        with connection.cursor() as cursor:
            cursor.execute(WRITE, [now, *(list(column) for column in zip(*rows, strict=True))])


def _row(outcome: Outcome, now: datetime) -> tuple[object, ...]:
    call, state, due, delivered_at = outcome.call, WebhookDelivery.State.DELIVERED, now, None
    if outcome.ok:
        delivered_at = now
    elif call.attempt > len(settings.WEBHOOK_STEPS):
        state = WebhookDelivery.State.DEAD
        log.error("[webhookDead]", delivery=call.delivery_id, endpoint=call.endpoint_id, why=outcome.error)
    else:
        state = WebhookDelivery.State.PENDING
        wait = settings.WEBHOOK_STEPS[call.attempt - 1] * random.uniform(1, 1 + JITTER)
        due = now + timedelta(seconds=max(wait, outcome.retry_after or 0))
    return (
        call.delivery_id,
        call.taken_at,
        state.value,
        due,
        outcome.status,
        outcome.error[:200],
        delivered_at,
    )


def _judge_endpoints(finished: list[Outcome]) -> None:
    """Only those that failed now, or had been failing, are locked and written: health costs one look."""
    by_endpoint: dict[int, list[Outcome]] = {}
    for outcome in finished:
        by_endpoint.setdefault(outcome.call.endpoint_id, []).append(outcome)
    failed = [pk for pk, told in by_endpoint.items() if not all(outcome.ok for outcome in told)]
    rows = WebhookEndpoint.objects.filter(Q(pk__in=failed) | Q(pk__in=by_endpoint, failing_since__isnull=False))
    for endpoint in rows.order_by("pk").select_for_update(no_key=True):
        told = by_endpoint[endpoint.pk]
        if any(outcome.status == GONE for outcome in told):
            _disable(endpoint, "It answered 410 Gone.")
        elif any(outcome.ok for outcome in told):
            _note(endpoint, failing_since=None, held_until=_asked_for(told))
        else:
            _failed(endpoint, told)


def _failed(endpoint: WebhookEndpoint, told: list[Outcome]) -> None:
    now = clock.now()
    since = endpoint.failing_since or now
    if now - since >= timedelta(seconds=settings.WEBHOOK_GIVE_UP):
        days = (now - since) / timedelta(days=1)
        _disable(endpoint, f"No success for {days:.0f} days; the last answer: {told[-1].error}."[:200])
        return
    # The longer it has been failing, the less often it is tried; one bad event among good ones holds up nobody.
    pause = now + min((now - since) / 10, LONGEST_PAUSE)
    _note(endpoint, failing_since=since, held_until=max(pause, _asked_for(told) or pause))


def _asked_for(told: list[Outcome]) -> datetime | None:
    """Until when it wants to be left alone."""
    longest = max((outcome.retry_after or 0 for outcome in told), default=0)
    return clock.now() + timedelta(seconds=longest) if longest else None


def _note(endpoint: WebhookEndpoint, **values: datetime | None) -> None:
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(**values)  # no history row for each hiccup


def _disable(endpoint: Any, reason: str) -> None:
    """What is pending waits: whoever turns it on again gets what was missed. Its failures start anew then."""
    if endpoint.disabled_reason:
        return
    endpoint.disabled_reason, endpoint.failing_since, endpoint.held_until = reason, None, None
    endpoint._change_reason = "worker"
    endpoint.save(update_fields=["disabled_reason", "failing_since", "held_until", "updated_at"])
    counters.add({(GIVEN_UP, ""): 1})
    log.error("[webhookEndpointDisabled]", endpoint=endpoint.pk, why=reason)
