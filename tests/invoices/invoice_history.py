"""An invoice with every kind of event that its page can show."""

import json
from typing import Any

from django.contrib.auth.models import User

from config.base import clock
from invoices.audit import Event
from invoices.issuing.calls import limits_of
from invoices.issuing.decide.send import after_send
from invoices.lifecycle import State
from invoices.models import Invoice, InvoiceIssuance, Partition
from invoices.moving import Step, move_one
from invoices.operations.claim import claim
from invoices.providers.base import Refused, Scope
from merchants.models import Merchant
from merchants.sync import apply_changes
from tests import cast
from webhooks.inbound.receiving import receive_event
from webhooks.models import WebhookEndpoint


def seller_with_endpoint() -> Merchant:
    merchant = cast.seller()
    endpoint = WebhookEndpoint.objects.create(merchant=merchant, url="https://cafe.example/hooks")
    endpoint.add_secret("first")
    return merchant


def post_event(kind: str, data: dict[str, Any]) -> None:
    body = json.dumps(cast.event(kind, data), ensure_ascii=False).encode()
    receive_event("internal", f"{kind} of {data['orderId']} at {data['merchantId']}", body, "1")


def eventful_invoice(by: User) -> Invoice:
    """Paid, claimed, refused by the provider, FAILED; meanwhile its merchant moved and operators made changes."""
    merchant = seller_with_endpoint()
    sale = cast.payment(merchant)
    post_event("payment.succeeded", sale)
    invoice = Invoice.objects.get(merchant=merchant)
    claim(invoice.claim_token or "", {**cast.PERSON, "email": "mai@example.com"})
    edit(merchant.tax_info, by, "moved to another street", address="7 Hàng Bài")
    edit(invoice.account, by, "the vendor asked for it", in_flight=3)
    partition = Partition(number=invoice.partition)
    edit(partition, by, "the provider is being repaired", paused=True)
    edit(partition, by, "repaired", paused=False)
    apply_changes.apply_envelope(
        {"op": "u", "after": {"id": merchant.code, "name": "Sương Mai Coffee", "status": "active"},
         "source": {"lsn": 7, "ts_ms": 1}}, source="test",
    )  # fmt: skip
    return refuse(Invoice.objects.get(pk=invoice.pk))


def edit(row: Any, by: User | None, reason: str, **values: Any) -> None:
    for name, value in values.items():
        setattr(row, name, value)
    row._history_user, row._change_reason = by, reason
    row.save()


def refuse(invoice: Invoice) -> Invoice:
    from invoices.issuing.take import commit_to_send

    commit_to_send([invoice.pk], {invoice.account_id: invoice.account}, 0.0)
    invoice.refresh_from_db()
    answer = Refused("BUYER_TAX_CODE_INVALID", "The buyer is unknown.", scope=Scope.ORDER, field="buyer.tax_code")
    issuance = InvoiceIssuance.objects.get(pk=invoice.exposed_by)
    issuance.outcome, issuance.scope, issuance.code, issuance.message = "refused", "order", answer.code, answer.message
    issuance.ended_at, issuance.response = clock.now(), {"status": 200, "code": answer.code}
    issuance.save()

    def decide(row: Invoice) -> Step | None:
        return after_send(row, issuance, answer, now=clock.now(), limits=limits_of(row.provider))

    return move_one(invoice, decide, actor="worker")


def add_audit_rows(invoice: Invoice, rows: int) -> Invoice:
    for at in range(rows):
        invoice = cast.move_to(invoice, State(invoice.state), Event.FACT_NOTED, actor="worker", reason=f"fact {at}")
    return invoice
