"""What endpoints are told of an invoice, written inside the transaction of the move that is the news.

A move that is no news costs nothing; one that is costs one look for endpoints, and one insert where there are any.
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
OF_STATE = {
    State.SUBMITTED: "invoice.submitted",
    State.ISSUED: "invoice.issued",
    State.FAILED: "invoice.failed",
    State.CANCELLED: "invoice.cancelled",
    State.EXPIRED: "invoice.expired",
    State.REPLACED: "invoice.replaced",
    State.ADJUSTED: "invoice.adjusted",
}
TYPES = (CLAIMED, *OF_STATE.values(), CORRECTION_OWED)
A_MOVE = 4  # events that one move may be, at most
ROWS = 2000  # in one INSERT


def hear(
    *, moved: list[tuple[Invoice, State | None]], changed: list[frozenset[str]], **_: object
) -> list[WebhookDelivery]:
    """The receiver of `invoices_moved`: one delivery an event and endpoint."""
    news = [
        (invoice, at, kind)
        for (invoice, _), names in zip(moved, changed, strict=True)
        for at, kind in enumerate(types_of(invoice, names))
    ]
    endpoints = _endpoints({invoice.merchant_id for invoice, _, _ in news}) if news else []
    if not endpoints:
        return []
    rows = [
        delivery
        for invoice, at, kind in news
        for delivery in _deliveries(invoice, invoice.audit_seq * A_MOVE + at, kind, endpoints)
    ]
    return WebhookDelivery.objects.bulk_create(rows, batch_size=ROWS)


def types_of(invoice: Invoice, changed: frozenset[str]) -> Iterable[str]:
    """What the outside world is told of one move, in the order in which it should hear it."""
    if "claimed_at" in changed:
        yield CLAIMED
    state = State(invoice.state)
    # "failure": it failed once more, for another reason.
    if state in OF_STATE and ("state" in changed or (state == State.FAILED and "failure" in changed)):
        yield OF_STATE[state]
    if "correction_owed" in changed and invoice.correction_owed:
        yield CORRECTION_OWED


def write_test(endpoint: WebhookEndpoint) -> WebhookDelivery:
    """An event that is about no invoice, whatever types the endpoint takes."""
    delivery_id = new_ids(1)[0]
    body = _body(TEST, clock.now(), {"endpointId": str(endpoint.pk)})
    return WebhookDelivery.objects.create(
        pk=delivery_id, endpoint=endpoint, event_id=f"test-{delivery_id}", type=TEST, body=body
    )


def _endpoints(merchants: set[int]) -> list[WebhookEndpoint]:
    """Who may want to hear. A disabled endpoint too: turned on again, it gets what it missed. Without a secret: never,
    nothing could be signed."""
    return list(
        WebhookEndpoint.objects.living()
        .filter(Q(merchant__in=merchants) | Q(merchant=None))
        .exclude(encrypted_secrets="")
        .only("merchant_id", "event_types")
    )


def _deliveries(invoice: Invoice, seq: int, kind: str, endpoints: list[WebhookEndpoint]) -> Iterable[WebhookDelivery]:
    body = ""
    for endpoint in endpoints:
        of_theirs = endpoint.merchant_id in (None, invoice.merchant_id)
        if of_theirs and (not endpoint.event_types or kind in endpoint.event_types):
            body = body or _body(kind, invoice.updated_at, told_of(invoice))
            yield WebhookDelivery(
                endpoint=endpoint,
                event_id=f"{invoice.pk}-{seq}",
                type=kind,
                invoice=invoice,
                seq=seq,
                body=body,
                not_before=invoice.updated_at,
            )


def told_of(invoice: Invoice) -> dict[str, Any]:
    """The contract's outbound data: nobody's name, address or tax code in it."""
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
