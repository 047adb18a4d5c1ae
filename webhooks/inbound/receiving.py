"""Store a verified body, apply it, and return the response. A verified body is never lost."""

import hashlib
import json
from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import OperationalError, connection, transaction
from structlog.stdlib import get_logger

from config.base import clock, tracing
from config.monitoring import counters
from invoices.opening.conclude import OpeningResult
from invoices.opening.facts import Unacceptable
from webhooks.inbound import events
from webhooks.models import WebhookEvent

log = get_logger(__name__)
Response = tuple[int, dict[str, Any]]  # status and body

ACCEPTED = "accepted"  # the counter's name
COUNTED_AT_OPENING = ("opened", "not_required")  # the statement that opens the invoice counts these
SAVED_FIELDS = ["status", "answer_status", "answer", "error", "not_before", "tries", "updated_at"]
MAX_DEPTH = 64  # levels of JSON: the parser reads deeper bodies than the encoder can write
TOO_DEEP = f"The body is nested too deeply: at most {MAX_DEPTH} levels."
EVENT_RETRY_STEPS = [10, 60, 300, 900, 3600]  # seconds until a failed event is applied again, by attempt


class Malformed(ValueError):
    """Not JSON, or without a type, so it cannot be stored as an event. `code` and the message may be shown."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class IdReused(Exception):
    """The id was used for another body before."""


def parse_event(body: bytes) -> dict[str, Any]:
    """A body as an event. Raises Malformed."""
    try:
        event = json.loads(body, parse_float=Decimal, parse_constant=_reject_constant)
    except ValueError as error:
        raise Malformed("not_json", f"The body is not JSON: {error}") from None
    except RecursionError:
        raise Malformed("not_json", TOO_DEEP) from None
    if _is_deeper_than(event, MAX_DEPTH):
        raise Malformed("not_json", TOO_DEEP)
    if not isinstance(event, dict) or not isinstance(event.get("type"), str) or not event["type"]:
        raise Malformed("no_type", 'The body must be an object with a "type".')
    return event


def _is_deeper_than(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
        if not level:
            return False
    return True


def receive_event(route: str, webhook_id: str, body: bytes, secret_label: str) -> Response:
    """Store a verified body and apply it, in one transaction. Raises Malformed, IdReused."""
    event = parse_event(body)
    digest = hashlib.sha256(body).hexdigest()
    row = WebhookEvent(
        route=route,
        webhook_id=webhook_id,
        type=event["type"][:40],
        body=body.decode(),
        body_sha256=digest,
        secret_label=secret_label,
        status=WebhookEvent.Status.FAILED,
        answer_status=202,
        answer={},
        order_id=_identifier(event.get("data"), "orderId"),
        merchant_code=_identifier(event.get("data"), "merchantId"),
    )
    with transaction.atomic():
        if _insert(row):
            return _apply(row, event)
        known = WebhookEvent.objects.select_for_update(no_key=True).get(route=route, webhook_id=webhook_id)
        if known.body_sha256 != digest:
            raise IdReused(f'The webhook-id "{webhook_id}" was used for another body before.')
        if known.status == WebhookEvent.Status.DONE:
            return 200, known.answer
        if known.status == WebhookEvent.Status.CLOSED:  # an operator closed it: the response stays the refusal
            return known.answer_status, known.answer
        known.tries += 1
        return _apply(known, event)


def _insert(row: WebhookEvent) -> bool:
    """Store the event and return whether its id is new, in one statement. Requests with the same id wait here."""
    fields = [field for field in WebhookEvent._meta.concrete_fields if not field.primary_key]
    columns, placeholders = ", ".join(f'"{field.column}"' for field in fields), ", ".join(["%s"] * len(fields))
    with connection.cursor() as cursor:
        cursor.execute(
            f'INSERT INTO "{WebhookEvent._meta.db_table}" ({columns}) VALUES ({placeholders}) '
            "ON CONFLICT (route, webhook_id) DO NOTHING RETURNING id",
            [field.get_db_prep_save(getattr(row, field.attname), connection) for field in fields],
        )
        inserted = cursor.fetchone()
    if inserted:
        row.pk, row._state.adding = inserted[0], False
    return inserted is not None


def _apply(row: WebhookEvent, event: dict[str, Any]) -> Response:
    """Apply an event in a savepoint and store the result."""
    row.error, row.not_before = "", None
    try:
        with transaction.atomic():
            result = events.apply_event(row.route, event, f"webhook:{row.route}")
        row.status, row.answer_status = WebhookEvent.Status.DONE, 202
        row.answer = events.response_body(row.pk, result, row.order_id)
        if result.outcome not in COUNTED_AT_OPENING:
            counters.count({(ACCEPTED, f"{row.route}:{result.outcome}"): 1})
    except Unacceptable as error:
        log.warning("[webhookRefused]", code=error.code, **row.about)
        row.status, row.answer_status, row.error = WebhookEvent.Status.REFUSED, 422, str(error)
        row.answer = {"code": error.code, "field": error.field, "detail": error.message, "eventId": str(row.pk)}
    except OperationalError:
        raise  # the database is going away: nothing is stored, so the response must not say so
    except Exception as error:  # an internal error: the event is stored and shown, and the sweep applies it again
        log.exception("[webhookFailed]", **row.about)
        delay = EVENT_RETRY_STEPS[min(row.tries, len(EVENT_RETRY_STEPS)) - 1]
        row.status, row.answer_status, row.error = WebhookEvent.Status.FAILED, 202, type(error).__name__
        row.not_before = clock.now() + timedelta(seconds=delay)
        row.answer = events.response_body(row.pk, OpeningResult("stored"), row.order_id)
    row.save(update_fields=SAVED_FIELDS)
    return row.answer_status, row.answer


def retry_failed() -> int:
    """Apply events that failed with an internal error again, when they are due. Returns their number."""
    due = WebhookEvent.objects.filter(status=WebhookEvent.Status.FAILED, not_before__lte=clock.now()).order_by(
        "not_before"
    )
    count = 0
    for pk in list(due.values_list("pk", flat=True)[:1000]):
        with transaction.atomic():
            row = due.select_for_update(no_key=True, skip_locked=True).filter(pk=pk).first()
            if row:
                row.tries += 1
                with tracing.continue_trace(row.trace):
                    _apply(row, parse_event(row.body.encode()))
                count += 1
    return count


def replay_event(pk: int) -> WebhookEvent:
    """Apply a refused or failed event again, at an operator's request. A done or closed event stays unchanged."""
    with transaction.atomic():
        row = WebhookEvent.objects.select_for_update(no_key=True).get(pk=pk)
        if row.status in (WebhookEvent.Status.REFUSED, WebhookEvent.Status.FAILED):
            row.tries += 1
            with tracing.continue_trace(row.trace):
                _apply(row, parse_event(row.body.encode()))
    return row


def close_events(pks: Iterable[int]) -> list[int]:
    """Close refused events that need no attention any more. Returns the ids of those that were closed."""
    refused = WebhookEvent.objects.filter(status=WebhookEvent.Status.REFUSED)
    with transaction.atomic():
        ids = list(
            refused.filter(pk__in=pks).order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True)
        )
        WebhookEvent.objects.filter(pk__in=ids).update(status=WebhookEvent.Status.CLOSED, updated_at=clock.now())
    return ids


def _reject_constant(text: str) -> None:
    raise ValueError(f"{text} is not a JSON number")


def _identifier(data: Any, field: str) -> str:
    """An identifier from the body, cut to what its column can hold; "" if there is none."""
    value = data.get(field) if isinstance(data, dict) else ""
    return value[:64].replace("\x00", "") if isinstance(value, str) else ""
