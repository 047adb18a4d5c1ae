"""Builders of test data: merchants, payloads, and invoices in each state. All take keyword overrides."""

import base64
import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from standardwebhooks.webhooks import Webhook

from config.base import clock
from invoices.audit import Event, Outcome
from invoices.lifecycle import State
from invoices.models import Invoice, InvoiceIssuance
from invoices.moving import Step, move_one
from invoices.opening.conclude import apply_facts
from invoices.opening.facts import parse_payment as payment_fact
from merchants.models import Merchant, ProviderAccount, TaxInfo

_count = itertools.count(1)

COMPANY = {
    "kind": "company",
    "name": "Công ty TNHH Hoa Sen Trắng",
    "taxCode": "0100109106",
    "address": "12 Tràng Tiền, phường Hoàn Kiếm, Hà Nội",
    "email": "ketoan@hoasentrang.example",
}
PERSON = {
    "kind": "individual",
    "name": "Nguyễn Thị Mai",
    "address": "5 Lê Lợi, phường Bến Thành",
    "phone": "0901234567",
}


def seller(
    code: str = "", *, url: str = "http://127.0.0.1:9", form: str = "1", symbol: str = "C26TAA", **overrides: Any
) -> Merchant:
    """A merchant that can issue: with tax data and an account at the provider."""
    code = code or f"seller-{next(_count)}"
    merchant = Merchant.objects.create(code=code, **{"name": "Cà phê Sương Mai", **overrides})
    tax_code = tax_code_of(merchant.pk)
    TaxInfo.objects.create(
        merchant=merchant,
        tax_code=tax_code,
        legal_name="Công ty Cổ phần Sương Mai",
        address="1 Phan Chu Trinh",
        method=TaxInfo.Method.DIRECT if form == "2" else TaxInfo.Method.DEDUCTION,
    )
    account(merchant, url=url, form=form, symbol=symbol)
    return merchant


def account(
    merchant: Merchant, *, url: str = "http://127.0.0.1:9", form: str = "1", symbol: str = "C26TAA", **more: Any
) -> ProviderAccount:
    row = ProviderAccount(merchant=merchant, base_url=url, form=form, symbol=symbol, template=f"{form}/001", **more)
    row.set_credentials({"username": merchant.tax_info.tax_code, "password": f"pass-{merchant.code}"})
    row.save()
    return row


def tenant(merchant: Merchant, **overrides: Any) -> dict[str, Any]:
    """The merchant as a tenant of the simulated provider."""
    tax_code = merchant.tax_info.tax_code
    series = [{"template": account.template, "symbol": account.symbol} for account in merchant.accounts.all()]
    return {"taxCode": tax_code, "password": f"pass-{merchant.code}", "series": series, **overrides}


def tax_code_of(number: int) -> str:
    """A tax code with a valid check digit, different for each number."""
    for nine in itertools.count(number % 10**7 * 3):
        digits = f"03{nine % 10**7:07d}"
        check = 10 - sum(int(d) * w for d, w in zip(digits, (31, 29, 23, 19, 17, 13, 7, 5, 3), strict=True)) % 11
        if check < 10 and digits[2:] != "0000000":
            return f"{digits}{check}"
    raise AssertionError


def payment(merchant: Merchant | str, **overrides: Any) -> dict[str, Any]:
    """The data of a payment.succeeded that adds up: one coffee and one cake, VAT included."""
    at = next(_count)
    data: dict[str, Any] = {
        "orderId": f"order-{at}",
        "paymentId": f"payment-{at}",
        "merchantId": merchant if isinstance(merchant, str) else merchant.code,
        "paidAt": clock.now().astimezone(clock.VIETNAM).isoformat(),
        "currency": "VND",
        "paymentMethod": "CK",
        "pricesIncludeVat": True,
        "lines": [
            {"name": "Cà phê sữa đá", "unit": "ly", "quantity": 2, "unitPrice": 35000, "vatRate": "8%"},
            {"name": "Bánh croissant", "unit": "cái", "quantity": 1, "unitPrice": 40000, "vatRate": "8%"},
        ],
        "total": 110000,
    }
    return {**data, **overrides}


def refund(of: dict[str, Any], **overrides: Any) -> dict[str, Any]:
    at = next(_count)
    data = {
        "orderId": of["orderId"],
        "merchantId": of["merchantId"],
        "refundId": f"refund-{at}",
        "refundedAt": clock.now().isoformat(),
        "amount": of["total"],
        "full": True,
    }
    return {**data, **overrides}


def request(of: dict[str, Any], **overrides: Any) -> dict[str, Any]:
    at = next(_count)
    data = {
        "requestId": f"request-{at}",
        "orderId": of["orderId"],
        "merchantId": of["merchantId"],
        "requestedAt": clock.now().isoformat(),
        "source": "checkout",
        "buyer": COMPANY,
    }
    return {**data, **overrides}


def step_to(
    to: State, event: Event, *, outcome: Outcome = Outcome.OK, reason: str = "", **changes: Any
) -> Callable[[Invoice], Step]:
    """A decision for `move`: every row takes this step."""
    return lambda _: Step(to=to, event=event, outcome=outcome, reason=reason, changes=changes)


def move_to(invoice: Invoice, to: State, event: Event, *, actor: str = "test", **step: Any) -> Invoice:
    """Move one invoice; the other keywords are those of `step_to`. Raises WrongState."""
    return move_one(invoice, step_to(to, event, **step), actor=actor)


def waiting(merchant: Merchant | None = None, **overrides: Any) -> Invoice:
    """An invoice that waits for its buyer's claim."""
    opening = apply_facts(*payment_fact(payment(merchant or seller(), **overrides)), actor="test")
    assert opening.invoice is not None
    return opening.invoice


def queued(merchant: Merchant | None = None, **overrides: Any) -> Invoice:
    """An invoice that is due to be sent now."""
    invoice = waiting(merchant, **overrides)
    if invoice.state == State.QUEUED:
        return invoice
    return move_to(invoice, State.QUEUED, Event.CLAIM_WINDOW_CLOSED, actor="test", not_before=clock.now())


def sending(merchant: Merchant | None = None, **overrides: Any) -> Invoice:
    """An invoice that a worker took, in the state that `take` leaves it in."""
    from invoices.issuing.take import commit_to_send

    invoice = queued(merchant, **overrides)
    commit_to_send([invoice.pk], {invoice.account_id: invoice.account}, 0.0)
    return Invoice.objects.get(pk=invoice.pk)


def uncertain(**overrides: Any) -> Invoice:
    """An UNCERTAIN invoice: the provider may have it."""
    invoice = sending(**overrides)
    changes = {"first_uncertain_at": clock.now(), "final_lookup_at": clock.now() + timedelta(days=1), "attempts": 1}
    return move_to(invoice, State.UNCERTAIN, Event.UNCERTAIN, actor="worker", **changes)


def issued(merchant: Merchant | None = None, *, number: str = "", **overrides: Any) -> Invoice:
    """An invoice with a number and a tax-authority code."""
    invoice = sending(merchant, **overrides)
    InvoiceIssuance.objects.filter(pk=invoice.exposed_by).update(outcome="issued", ended_at=clock.now())
    facts = {
        "number": number or str(next(_count)),
        "code": "00474597512BE94B7BAB367996EF464828",
        "lookup_code": "ABC123",
        "issued_at": clock.now(),
    }
    return move_to(invoice, State.ISSUED, Event.ISSUED, actor="worker", **facts)


def failed(merchant: Merchant | None = None, *, failure: str = "refused", **overrides: Any) -> Invoice:
    """A FAILED invoice that no provider knows."""
    changes = {"failure": failure, "failure_code": "TAX_CODE_INVALID", "failure_message": "The tax code is unknown."}
    return move_to(queued(merchant, **overrides), State.FAILED, Event.REFUSED, actor="worker", **changes)


def refused(merchant: Merchant | None = None, **overrides: Any) -> Invoice:
    """A FAILED invoice that was sent and refused for its buyer's tax code."""
    invoice = sending(merchant, **{"buyer": COMPANY, **overrides})
    InvoiceIssuance.objects.filter(pk=invoice.exposed_by).update(outcome="refused", ended_at=clock.now())
    unexposed = {"exposed_at": None, "exposed_by": None, "attempts": 1}
    why = {"failure": "refused", "failure_code": "TAX_CODE_INVALID", "failure_message": "The tax code is unknown."}
    changes = {**unexposed, **why, "failure_field": "buyer.tax_code"}
    return move_to(invoice, State.FAILED, Event.REFUSED, actor="worker", **changes)


def signed(
    event: dict[str, Any] | bytes, *, route: str = "internal", webhook_id: str = "", at: datetime | None = None
) -> dict[str, Any]:
    """Keyword arguments for the test client's post: a body with its Standard Webhooks headers."""
    body = event if isinstance(event, bytes) else json.dumps(event, ensure_ascii=False).encode()
    webhook_id = webhook_id or f"msg-{next(_count)}"
    stamp = (at or datetime.now(UTC)).astimezone(UTC)  # the library reads any other zone wrongly
    newest = next(iter(settings.WEBHOOK_SECRETS[route].values()))
    signature = Webhook(newest).sign(webhook_id, stamp, body.decode())
    return {
        "data": body,
        "content_type": "application/json",
        "headers": {
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(stamp.timestamp())),
            "webhook-signature": signature,
        },
    }


def event(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "timestamp": clock.now().isoformat(), "data": data}


def secret() -> str:
    return "whsec_" + base64.b64encode(b"another secret of 24 by..").decode()


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)
