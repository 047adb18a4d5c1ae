"""Verify, store, act, answer: a verified body is never lost, whatever becomes of the act."""

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
from invoices.opening.facts import Unacceptable
from webhooks.inbound import events
from webhooks.models import WebhookEvent

log = get_logger(__name__)
Answer = tuple[int, dict[str, Any]]

ACCEPTED = "accepted"  # the tally's name; what opened an invoice is counted there, in the same statement
COUNTED_AT_OPENING = ("opened", "not_required")
ACTED = ["status", "answer_status", "answer", "error", "not_before", "tries", "updated_at"]
ACT_AGAIN = [10, 60, 300, 900, 3600]  # seconds until the sweep tries a failed event again


class Malformed(ValueError):
    """Not JSON, or without a type: nothing that could be kept as an event. `code` and the message may be shown."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Reused(Exception):
    """The id has been used for another body."""


def parse(body: bytes) -> dict[str, Any]:
    """A body as an event. Raises Malformed."""
    try:
        event = json.loads(body, parse_float=Decimal, parse_constant=_no_number)
    except ValueError as error:
        raise Malformed("not_json", f"The body is not JSON: {error}") from None
    except RecursionError:
        raise Malformed("not_json", "The body is nested too deeply.") from None
    if not isinstance(event, dict) or not isinstance(event.get("type"), str) or not event["type"]:
        raise Malformed("no_type", 'The body must be an object with a "type".')
    return event


def receive(route: str, webhook_id: str, body: bytes, secret_label: str) -> Answer:
    """Store a verified body and act on it, in one transaction. Raises Malformed, Reused."""
    event = parse(body)
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
        order_id=_named(event.get("data"), "orderId"),
        merchant_code=_named(event.get("data"), "merchantId"),
    )
    with transaction.atomic():
        if _insert(row):
            return _act(row, event)
        known = WebhookEvent.objects.select_for_update(no_key=True).get(route=route, webhook_id=webhook_id)
        if known.body_sha256 != digest:
            raise Reused(f'The webhook-id "{webhook_id}" was used for another body before.')
        if known.status == WebhookEvent.Status.DONE:
            return 200, known.answer
        if known.status == WebhookEvent.Status.CLOSED:  # an operator's word stands: told as it was refused
            return known.answer_status, known.answer
        known.tries += 1
        return _act(known, event)


def _insert(row: WebhookEvent) -> bool:
    """One statement keeps the event and tells whether its id is new. Two deliveries of one id wait for each other."""
    fields = [field for field in WebhookEvent._meta.concrete_fields if not field.primary_key]
    columns, places = ", ".join(f'"{field.column}"' for field in fields), ", ".join(["%s"] * len(fields))
    with connection.cursor() as cursor:
        cursor.execute(
            f'INSERT INTO "{WebhookEvent._meta.db_table}" ({columns}) VALUES ({places}) '
            "ON CONFLICT (route, webhook_id) DO NOTHING RETURNING id",
            [field.get_db_prep_save(getattr(row, field.attname), connection) for field in fields],
        )
        told = cursor.fetchone()
    if told:
        row.pk, row._state.adding = told[0], False
    return told is not None


def _act(row: WebhookEvent, event: dict[str, Any]) -> Answer:
    """Act in a savepoint, and write down how it went."""
    row.error, row.not_before = "", None
    try:
        with transaction.atomic():
            opening = events.act(row.route, event, f"webhook:{row.route}")
        row.status, row.answer_status = WebhookEvent.Status.DONE, 202
        row.answer = events.answer(row.pk, opening, row.order_id)
        if opening.outcome not in COUNTED_AT_OPENING:
            counters.add({(ACCEPTED, f"{row.route}:{opening.outcome}"): 1})
    except Unacceptable as error:
        log.warning("[webhookRefused]", code=error.code, **row.about)
        row.status, row.answer_status, row.error = WebhookEvent.Status.REFUSED, 422, str(error)
        row.answer = {"code": error.code, "field": error.field, "detail": error.message, "eventId": str(row.pk)}
    except OperationalError:
        raise  # the database is going away: nothing can be kept, so nothing is promised
    except Exception as error:  # our fault: the event is kept, an operator sees it, the sweep tries again
        log.exception("[webhookFailed]", **row.about)
        delay = ACT_AGAIN[min(row.tries, len(ACT_AGAIN)) - 1]
        row.status, row.answer_status, row.error = WebhookEvent.Status.FAILED, 202, type(error).__name__
        row.not_before = clock.now() + timedelta(seconds=delay)
        row.answer = events.answer(row.pk, events.Opening("stored"), row.order_id)
    row.save(update_fields=ACTED)
    return row.answer_status, row.answer


def act_again() -> int:
    """Events that failed through our fault, once their time has come. Returns how many were acted on."""
    due = WebhookEvent.objects.filter(status=WebhookEvent.Status.FAILED, not_before__lte=clock.now()).order_by(
        "not_before"
    )
    acted = 0
    for pk in list(due.values_list("pk", flat=True)[:1000]):
        with transaction.atomic():
            row = due.select_for_update(no_key=True, skip_locked=True).filter(pk=pk).first()
            if row:
                row.tries += 1
                with tracing.continuing(row.trace):
                    _act(row, parse(row.body.encode()))
                acted += 1
    return acted


def replay(pk: int) -> WebhookEvent:
    """Act on a refused or failed event once more, by an operator's word. What is done or closed stays as it is."""
    with transaction.atomic():
        row = WebhookEvent.objects.select_for_update(no_key=True).get(pk=pk)
        if row.status in (WebhookEvent.Status.REFUSED, WebhookEvent.Status.FAILED):
            row.tries += 1
            with tracing.continuing(row.trace):
                _act(row, parse(row.body.encode()))
    return row


def close(pks: Iterable[int]) -> list[int]:
    """Of refused events nobody need hear any more: the sender has sent another, or nothing was sold. Returns which."""
    refused = WebhookEvent.objects.filter(status=WebhookEvent.Status.REFUSED)
    with transaction.atomic():
        ids = list(
            refused.filter(pk__in=pks).order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True)
        )
        WebhookEvent.objects.filter(pk__in=ids).update(status=WebhookEvent.Status.CLOSED, updated_at=clock.now())
    return ids


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")


def _named(data: Any, field: str) -> str:
    """What the body calls the order or the merchant, as far as a column can hold it."""
    name = data.get(field) if isinstance(data, dict) else ""
    return name[:64].replace("\x00", "") if isinstance(name, str) else ""
