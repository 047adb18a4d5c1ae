"""The events of an invoice that endpoints receive, written in the transaction of the move that causes them.

A move without an event costs no query; others cost one query for endpoints, and one insert if there are any.
"""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db.models import Q

from config.base import clock
from config.base.ids import new_ids
from invoices.lifecycle import State
from invoices.models import Invoice
from webhooks.models import WebhookDelivery, WebhookEndpoint

CLAIMED, CORRECTION_OWED, TEST = "invoice.claimed", "invoice.correction_owed", "webhook.test"
TYPE_OF_STATE = {
    State.SUBMITTED: "invoice.submitted",
    State.ISSUED: "invoice.issued",
    State.FAILED: "invoice.failed",
    State.CANCELLED: "invoice.cancelled",
    State.EXPIRED: "invoice.expired",
    State.REPLACED: "invoice.replaced",
    State.ADJUSTED: "invoice.adjusted",
}
TYPES = (CLAIMED, *TYPE_OF_STATE.values(), CORRECTION_OWED)
EVENTS_PER_MOVE = 4  # at most
ROWS_PER_STATEMENT = 2000


def on_invoices_moved(
    *, moved: list[tuple[Invoice, State | None]], changed: list[frozenset[str]], **_: object
) -> list[WebhookDelivery]:
    """The receiver of `invoices_moved`: writes one delivery for each event and endpoint."""
    events = [
        (invoice, at, kind)
        for (invoice, _), names in zip(moved, changed, strict=True)
        for at, kind in enumerate(event_types(invoice, names))
    ]
    endpoints = _endpoints({invoice.merchant_id for invoice, _, _ in events}) if events else []
    if not endpoints:
        return []
    rows = [
        delivery
        for invoice, at, kind in events
        for delivery in _deliveries(invoice, invoice.audit_seq * EVENTS_PER_MOVE + at, kind, endpoints)
    ]
    return WebhookDelivery.objects.bulk_create(rows, batch_size=ROWS_PER_STATEMENT)


def event_types(invoice: Invoice, changed: frozenset[str]) -> Iterable[str]:
    """The types of the events of one move, in the order in which they are sent."""
    if "claimed_at" in changed:
        yield CLAIMED
    state = State(invoice.state)
    # "failure" changed: it failed again, for another reason.
    if state in TYPE_OF_STATE and ("state" in changed or (state == State.FAILED and "failure" in changed)):
        yield TYPE_OF_STATE[state]
    if "correction_owed" in changed and invoice.correction_owed:
        yield CORRECTION_OWED


def write_test_delivery(endpoint: WebhookEndpoint) -> WebhookDelivery:
    """Write a test event, regardless of the endpoint's types. It is about no invoice."""
    delivery_id = new_ids(1)[0]
    body = _body(TEST, clock.now(), {"endpointId": str(endpoint.pk)})
    return WebhookDelivery.objects.create(
        pk=delivery_id, endpoint=endpoint, event_id=f"test-{delivery_id}", type=TEST, body=body
    )


def _endpoints(merchants: set[int]) -> list[WebhookEndpoint]:
    """The endpoints of these merchants and of the platform, except those without a secret: nothing could be signed.

    Disabled endpoints are included: when one is enabled again, it gets what it missed.
    """
    return list(
        WebhookEndpoint.objects.not_deleted()
        .filter(Q(merchant__in=merchants) | Q(merchant=None))
        .exclude(encrypted_secrets="")
        .only("merchant_id", "event_types")
    )


def _deliveries(invoice: Invoice, seq: int, kind: str, endpoints: list[WebhookEndpoint]) -> Iterable[WebhookDelivery]:
    body = ""
    for endpoint in endpoints:
        may_see = endpoint.merchant_id in (None, invoice.merchant_id)
        if may_see and (not endpoint.event_types or kind in endpoint.event_types):
            body = body or _body(kind, invoice.updated_at, event_data(invoice))
            yield WebhookDelivery(
                endpoint=endpoint,
                event_id=f"{invoice.pk}-{seq}",
                type=kind,
                invoice=invoice,
                seq=seq,
                body=body,
                not_before=invoice.updated_at,
            )


def event_data(invoice: Invoice) -> dict[str, Any]:
    """The event's `data`. It contains no name, address or tax code."""
    data: dict[str, Any] = {
        "invoiceId": str(invoice.pk),
        "sourceId": invoice.order_id,
        "merchantId": invoice.config_snapshot["merchant"]["code"],
        "documentNo": invoice.document_no,
        "kind": invoice.kind,
        "state": str(invoice.state),
        "occurredAt": _time(invoice.updated_at),
        "total": invoice.total,
    }
    if invoice.number:
        data |= {
            "form": invoice.form,
            "symbol": invoice.symbol,
            "number": invoice.number,
            "issueDate": invoice.issue_date.isoformat(),
        }
    data |= {name: value for name, value in (("code", invoice.code), ("lookupUrl", invoice.lookup_url)) if value}
    if invoice.failure:
        data["failure"] = {"reason": invoice.failure, "message": invoice.failure_message}
    if invoice.relates_to_id:
        data["relatesTo"] = str(invoice.relates_to_id)
    return data


def _body(kind: str, at: datetime, data: dict[str, Any]) -> str:
    return json.dumps({"type": kind, "timestamp": _time(at), "data": data}, ensure_ascii=False)


def _time(at: datetime) -> str:
    return at.astimezone(clock.VIETNAM).isoformat()
