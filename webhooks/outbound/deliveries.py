"""Deliver what is due: take, send, record, and take again for as long as there is something to do.

The row is the queue, as it is for invoices. A worker that dies leaves a row that is due again after LEASE: a receiver
may hear an event twice, with the same webhook-id, and never not at all.
"""

import queue
import random
import time
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from structlog.stdlib import get_logger

from config.base import clock, crypto
from config.processes.shutdown import shutdown
from webhooks.models import WebhookDelivery, WebhookEndpoint
from webhooks.outbound import outcomes, sending
from webhooks.outbound.sending import Call, Outcome

log = get_logger(__name__)
MARGIN = 30.0  # seconds between the longest possible call and another worker's turn
LOOK_SECONDS = 0.25  # how often a worker that waits for slow receivers looks for new work
STEP = 1000  # rows that a replay locks at once
TURN_SECONDS = 60  # then the worker only finishes what it has open

ENDPOINTS = """
SELECT e.id FROM webhooks_webhookendpoint e
WHERE e.disabled_reason = '' AND e.deleted_at IS NULL AND (e.held_until IS NULL OR e.held_until <= %(now)s)
  AND EXISTS (SELECT FROM webhooks_webhookdelivery d
              WHERE d.endpoint_id = e.id AND d.state = 'pending' AND d.not_before <= %(now)s)
ORDER BY e.id FOR NO KEY UPDATE SKIP LOCKED
"""

# Of each endpoint as many as it has free slots, so that a slow one delays nobody else; of each invoice only the
# earliest event, so that they arrive in order. Who holds the endpoint's lock is alone in counting its calls.
TAKE = """
WITH due AS (
    SELECT d.id FROM unnest(%(endpoints)s::bigint[], %(slots)s::int[]) AS e(id, slots)
    CROSS JOIN LATERAL (
        SELECT count(*) AS open FROM webhooks_webhookdelivery
        WHERE endpoint_id = e.id AND state = 'pending' AND taken_at IS NOT NULL AND not_before > %(now)s
    ) AS busy
    CROSS JOIN LATERAL (
        SELECT id FROM webhooks_webhookdelivery AS d
        WHERE endpoint_id = e.id AND state = 'pending' AND not_before <= %(now)s AND NOT EXISTS (
            SELECT FROM webhooks_webhookdelivery AS earlier
            WHERE earlier.endpoint_id = e.id AND earlier.state = 'pending'
              AND earlier.invoice_id = d.invoice_id AND earlier.seq < d.seq)
        ORDER BY not_before, id LIMIT greatest(0, e.slots - busy.open)
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS d LIMIT %(room)s
)
UPDATE webhooks_webhookdelivery AS d
SET taken_at = %(now)s, not_before = %(lease)s, attempts = d.attempts + 1, updated_at = %(now)s
FROM due WHERE d.id = due.id
RETURNING d.id, d.endpoint_id, d.attempts, d.event_id, d.body
"""


def deliver_due() -> int:
    """Send what is due. Returns how many outcomes were recorded."""
    heard: queue.Queue[Outcome] = queue.Queue()
    in_flight = recorded = 0
    until = time.monotonic() + TURN_SECONDS
    while True:
        room = settings.WEBHOOK_BATCH - in_flight
        calls = take(room) if room > 0 and not shutdown.is_set() and time.monotonic() < until else []
        for call in calls:
            sending.start(call, heard)
        in_flight += len(calls)
        if not in_flight:
            return recorded
        finished = _finished(heard)
        outcomes.record(finished)
        in_flight -= len(finished)
        recorded += len(finished)


def take(room: int) -> list[Call]:
    """At most `room` deliveries that are due, theirs for longer than a call can take."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(ENDPOINTS, {"now": clock.now()})
        endpoints = WebhookEndpoint.objects.in_bulk([row[0] for row in cursor.fetchall()])
        if not endpoints:
            return []
        order = list(endpoints.values())
        random.shuffle(order)  # where there is not room for all, it is not always the same ones that wait
        now = clock.now()
        lease = now + timedelta(seconds=settings.WEBHOOK_TIMEOUT + MARGIN)
        slots = [1 if row.failing_since else settings.WEBHOOK_IN_FLIGHT for row in order]
        cursor.execute(
            TAKE, {"endpoints": [row.pk for row in order], "slots": slots, "now": now, "lease": lease, "room": room}
        )
        taken = cursor.fetchall()
    secrets = {pk: _secrets(endpoints[pk]) for pk in {row[1] for row in taken}}
    return [
        Call(pk, endpoint, now, attempt, endpoints[endpoint].url, event_id, body, secrets[endpoint])
        for pk, endpoint, attempt, event_id, body in taken
    ]


def replay(endpoint: WebhookEndpoint, since: datetime, *, delivered: bool, dry_run: bool, actor: str) -> int:
    """Send again what an endpoint was told since a time; returns how many. `delivered`: those that arrived, too."""
    S = WebhookDelivery.State
    rows = WebhookDelivery.objects.filter(endpoint=endpoint, created_at__gte=since)
    rows = rows if delivered else rows.exclude(state=S.DELIVERED)
    if dry_run:
        return rows.count()
    count = _send_again(rows)
    log.info("[webhooksReplayed]", endpoint=endpoint.pk, since=since, count=count, actor=actor)
    return count


def replay_one(delivery: WebhookDelivery, *, actor: str) -> None:
    """Send one again, with the same webhook-id, body and place in its invoice's order."""
    _send_again(WebhookDelivery.objects.filter(pk=delivery.pk))
    log.info("[webhookReplayed]", delivery=delivery.pk, actor=actor)


def _send_again(rows: QuerySet[WebhookDelivery]) -> int:
    """Due now, with a new budget of attempts. Whatever call is under way for one no longer counts."""
    count = last = 0
    while True:
        with transaction.atomic():
            step = rows.filter(pk__gt=last).order_by("pk").select_for_update(no_key=True)
            ids = list(step.values_list("pk", flat=True)[:STEP])
            if not ids:
                return count
            now = clock.now()
            count += WebhookDelivery.objects.filter(pk__in=ids).update(
                state=WebhookDelivery.State.PENDING,
                not_before=now,
                taken_at=None,
                attempts=0,
                delivered_at=None,
                updated_at=now,
            )
            last = ids[-1]


def _secrets(endpoint: WebhookEndpoint) -> list[str]:
    try:
        return [secret.value for secret in endpoint.live_secrets()]
    except crypto.CannotOpen:
        log.exception("[webhookSecretsSealed]", endpoint=endpoint.pk)
        return []


def _finished(heard: "queue.Queue[Outcome]") -> list[Outcome]:
    """What has come back, waiting a moment for the first."""
    finished: list[Outcome] = []
    try:
        finished.append(heard.get(timeout=LOOK_SECONDS))
        while True:
            finished.append(heard.get_nowait())
    except queue.Empty:
        return finished
