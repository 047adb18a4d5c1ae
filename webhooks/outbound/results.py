"""Record the results of calls: the next state of each delivery, and the health of each endpoint.

Locks are taken in the same order as by `take_deliveries`: endpoints by id, then deliveries by id.
"""

from datetime import datetime, timedelta

from django.db import connection, transaction
from structlog.stdlib import get_logger

from config.base import clock
from webhooks.models import WebhookDelivery
from webhooks.outbound.endpoint_health import update_endpoints
from webhooks.outbound.retries import retry_delay
from webhooks.outbound.sending import Result

log = get_logger(__name__)

# Fenced by `taken_at`: a replay, or another worker after the lease, may have taken the delivery meanwhile.
WRITE = """
UPDATE webhooks_webhookdelivery AS d
SET state = new.state, not_before = new.not_before, last_status = new.last_status, last_error = new.last_error,
    delivered_at = new.delivered_at, taken_at = NULL, updated_at = %s
FROM unnest(%s::bigint[], %s::timestamptz[], %s::text[], %s::timestamptz[], %s::int[], %s::text[], %s::timestamptz[])
    AS new(id, taken_at, state, not_before, last_status, last_error, delivered_at)
WHERE d.id = new.id AND d.taken_at = new.taken_at
"""


def record_results(results: list[Result]) -> None:
    if not results:
        return
    with transaction.atomic():
        update_endpoints(results)
        ids = sorted(result.call.delivery_id for result in results)
        deliveries = WebhookDelivery.objects.filter(pk__in=ids).order_by("pk").select_for_update(no_key=True)
        list(deliveries.values_list("pk", flat=True))
        now = clock.now()
        rows = [_new_values(result, now) for result in results]
        with connection.cursor() as cursor:
            cursor.execute(WRITE, [now, *(list(column) for column in zip(*rows, strict=True))])


def _new_values(result: Result, now: datetime) -> tuple[object, ...]:
    """The columns of `new` in WRITE."""
    call, state, due, delivered_at = result.call, WebhookDelivery.State.DELIVERED, now, None
    if result.ok:
        delivered_at = now
    elif (delay := retry_delay(call.attempt)) is None:
        state = WebhookDelivery.State.DEAD
        log.error("[webhookDead]", delivery=call.delivery_id, endpoint=call.endpoint_id, why=result.error)
    else:
        state = WebhookDelivery.State.PENDING
        due = now + timedelta(seconds=max(delay, result.retry_after or 0))
    return call.delivery_id, call.taken_at, state.value, due, result.status, result.error[:200], delivered_at
