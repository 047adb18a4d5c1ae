"""Send due deliveries: take, send, record, and repeat while any is due.

The rows are the queue, as for invoices. If a worker dies, its deliveries are due again when their lease ends: a
receiver may get an event twice, with the same webhook-id, but never misses one.
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
from webhooks.outbound import results, sending
from webhooks.outbound.sending import Call, Result

log = get_logger(__name__)
MARGIN = 30.0  # seconds of a lease beyond the longest possible call
POLL_SECONDS = 0.25  # how often a worker that waits for slow receivers takes new deliveries
STEP = 1000  # rows that a replay locks at once
TURN_SECONDS = 60  # then a run takes no more and finishes what it has open

ENDPOINTS = """
SELECT e.id FROM webhooks_webhookendpoint e
WHERE e.disabled_reason = '' AND e.deleted_at IS NULL AND (e.held_until IS NULL OR e.held_until <= %(now)s)
  AND EXISTS (SELECT FROM webhooks_webhookdelivery d
              WHERE d.endpoint_id = e.id AND d.state = 'pending' AND d.not_before <= %(now)s)
ORDER BY e.id FOR NO KEY UPDATE SKIP LOCKED
"""

# Of each endpoint, as many as it has free slots, so that a slow one delays no other. Of each invoice, only the earliest
# event, so that its events arrive in order. The endpoint's lock ensures that only one worker counts its open calls.
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
    """Send due deliveries. Returns the number of recorded results."""
    done: queue.Queue[Result] = queue.Queue()
    in_flight = recorded = 0
    until = time.monotonic() + TURN_SECONDS
    while True:
        room = settings.WEBHOOK_BATCH - in_flight
        calls = take_deliveries(room) if room > 0 and not shutdown.is_set() and time.monotonic() < until else []
        for call in calls:
            sending.start_sending(call, done)
        in_flight += len(calls)
        if not in_flight:
            return recorded
        finished = _finished(done)
        results.record_results(finished)
        in_flight -= len(finished)
        recorded += len(finished)


def take_deliveries(room: int) -> list[Call]:
    """Reserve at most `room` due deliveries, for longer than a call can take."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(ENDPOINTS, {"now": clock.now()})
        endpoints = WebhookEndpoint.objects.in_bulk([row[0] for row in cursor.fetchall()])
        if not endpoints:
            return []
        order = list(endpoints.values())
        random.shuffle(order)  # so that not always the same endpoints wait when there is too little room
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


def replay_since(endpoint: WebhookEndpoint, since: datetime, *, delivered: bool, dry_run: bool, actor: str) -> int:
    """Resend an endpoint's deliveries since a time; returns their number. `delivered`: also those that arrived."""
    S = WebhookDelivery.State
    rows = WebhookDelivery.objects.filter(endpoint=endpoint, created_at__gte=since)
    rows = rows if delivered else rows.exclude(state=S.DELIVERED)
    if dry_run:
        return rows.count()
    count = _requeue(rows)
    log.info("[webhooksReplayed]", endpoint=endpoint.pk, since=since, count=count, actor=actor)
    return count


def replay_one(delivery: WebhookDelivery, *, actor: str) -> None:
    """Send one delivery again, with the same webhook-id, body and position among its invoice's events."""
    _requeue(WebhookDelivery.objects.filter(pk=delivery.pk))
    log.info("[webhookReplayed]", delivery=delivery.pk, actor=actor)


def _requeue(rows: QuerySet[WebhookDelivery]) -> int:
    """Make deliveries due now, with all their attempts. The result of a call that is still open is then ignored."""
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
    except crypto.DecryptionFailed:
        log.exception("[webhookSecretsSealed]", endpoint=endpoint.pk)
        return []


def _finished(done: "queue.Queue[Result]") -> list[Result]:
    """All results that are there, after waiting up to POLL_SECONDS for the first."""
    finished: list[Result] = []
    try:
        finished.append(done.get(timeout=POLL_SECONDS))
        while True:
            finished.append(done.get_nowait())
    except queue.Empty:
        return finished
