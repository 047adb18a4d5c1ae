"""The invoice of an order depends on the set of its facts, never on their order or repetition."""

import itertools
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.base import clock
from invoices import queues
from invoices.lifecycle import State
from invoices.models import Invoice, InvoiceRequest, LegalRules, Payment
from invoices.opening import facts
from invoices.opening.conclude import apply_facts
from invoices.operations.amend import amend
from invoices.upkeep.sweep import open_parked_payments, sweep
from merchants.models import Merchant, ProviderAccount, TaxInfo
from tests import cast

pytestmark = pytest.mark.django_db
_codes = itertools.count(1)


def paid(merchant: Merchant, at: datetime, **overrides: Any) -> Invoice:
    data = cast.payment(merchant, paidAt=at.isoformat(), **overrides)
    opening = apply_facts(*facts.parse_payment(data), actor="test")
    assert opening.invoice
    return opening.invoice


def vn(hour: int, minute: int = 0) -> datetime:
    return clock.at_vn(clock.today_vn(), hour, minute)


@pytest.mark.parametrize(
    ("paid_at", "window", "deadline"),
    [
        ((10, 0), 120, (12, 0)),
        ((10, 0), 30, (10, 30)),
        ((21, 59), 120, (23, 55)),  # never past 23:55 of the sale day
        ((22, 0), 120, None),  # sales from 22:00 issue at once
        ((10, 0), 0, None),  # the merchant's choice
    ],
)
def test_the_claim_window_follows_the_law_and_the_merchant(paid_at: Any, window: int, deadline: Any) -> None:
    with clock.frozen(vn(*paid_at) + timedelta(seconds=1)):
        invoice = paid(cast.seller(claim_window=window), vn(*paid_at))
    assert invoice.claim_deadline == (vn(*deadline) if deadline else None)
    assert invoice.state == (State.WAITING if deadline else State.QUEUED)


@pytest.mark.parametrize(("paid_at", "limit"), [((10, 0), (24, 0)), ((23, 50), (24, 20))])
def test_the_issue_date_is_the_sale_day_until_the_day_and_half_an_hour_are_over(paid_at: Any, limit: Any) -> None:
    with clock.frozen(vn(*paid_at)):
        invoice = paid(cast.seller(), vn(*paid_at))
    assert invoice.issue_date == clock.today_vn()
    assert invoice.issue_until == vn(*limit)


def test_a_sale_that_arrives_after_its_claim_window_is_issued_or_lapses_by_policy() -> None:
    at = clock.now() - timedelta(hours=3)
    assert paid(cast.seller(), at).state == State.QUEUED
    assert paid(cast.seller(unclaimed="lapse"), at).state == State.EXPIRED
    assert paid(cast.seller(unclaimed="lapse"), at, buyer=cast.COMPANY).state == State.QUEUED


def test_a_request_that_comes_after_the_sale_lapsed_is_stored_as_too_late() -> None:
    merchant = cast.seller(unclaimed="lapse")
    sale = cast.payment(merchant, paidAt=(clock.now() - timedelta(hours=3)).isoformat())
    apply_facts(*facts.parse_payment(sale), actor="test")
    apply_facts(facts.parse_request(cast.request(sale)), actor="test")
    row = Invoice.objects.get()
    assert (row.state, row.buyer, row.requests.latest("id").too_late) == (State.EXPIRED, {}, True)


def test_eight_percent_ends_with_the_year_2026() -> None:
    LegalRules.objects.update_or_create(
        pk="2027-01-01",
        defaults={**_rules(), "vat_rates": ["0%", "5%", "10%", "KCT", "KKKNT"]},
    )
    LegalRules._known_until = 0
    new_year = clock.at_vn(datetime(2027, 1, 1).date(), 9)
    merchant = cast.seller(symbol="C27TAA")
    with clock.frozen(new_year), pytest.raises(facts.Unacceptable, match="8%"):
        paid(merchant, new_year)
    LegalRules._known_until = 0


def _rules() -> dict[str, Any]:
    row = LegalRules.objects.order_by("-effective_from").first()
    assert row
    return {f.name: getattr(row, f.name) for f in row._meta.fields if f.name != "effective_from"}


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        (lambda m: Merchant.objects.filter(pk=m.pk).update(is_active=False), "merchant"),
        (lambda m: m.tax_info.delete(), "tax_info"),
        (lambda m: ProviderAccount.objects.update(is_active=False), "account"),
        (lambda m: ProviderAccount.objects.update(symbol="C25TAA"), "symbol_year"),
    ],
)
def test_a_merchant_that_cannot_issue_parks_the_payment_with_the_reason(missing: Any, reason: str) -> None:
    merchant = cast.seller()
    missing(merchant)
    opening = apply_facts(*facts.parse_payment(cast.payment(merchant)), actor="test")
    assert (opening.outcome, opening.parked, Payment.objects.get().parked) == ("parked", reason, reason)


def test_a_parked_payment_is_revived_by_the_sweep_once_its_merchant_can_issue() -> None:
    data = cast.payment("new-merchant")
    apply_facts(*facts.parse_payment(data), actor="test")
    open_parked_payments()
    assert Invoice.objects.count() == 0
    cast.seller(code="new-merchant")
    open_parked_payments()
    invoice = Invoice.objects.get()
    assert (invoice.order_id, Payment.objects.get().parked) == (data["orderId"], "")
    open_parked_payments()
    assert Invoice.objects.count() == 1


def without_credentials(merchant: Merchant) -> None:
    ProviderAccount.objects.filter(merchant=merchant).update(encrypted_credentials="")


def of_another_form(merchant: Merchant) -> None:
    TaxInfo.objects.filter(merchant=merchant).update(method=TaxInfo.Method.DIRECT)


def of_last_year(merchant: Merchant) -> None:
    ProviderAccount.objects.filter(merchant=merchant).update(symbol="C25TAA")


@pytest.mark.parametrize("missing", [without_credentials, of_another_form, of_last_year, lambda m: m.tax_info.delete()])
def test_the_sweep_reads_no_payment_whose_merchant_still_cannot_issue(
    missing: Any, django_assert_num_queries: Any
) -> None:
    merchant = cast.seller()
    missing(merchant)

    def pay(times: int) -> None:
        payments = [facts.parse_payment(cast.payment(merchant))[0] for _ in range(times)]
        for payment in payments:
            payment.parked = "symbol_year"
        Payment.objects.bulk_create(payments)

    pay(1)
    with CaptureQueriesContext(connection) as with_one:
        sweep()
    pay(200)
    with django_assert_num_queries(len(with_one)):
        sweep()


def test_a_parked_payment_that_raises_stops_neither_the_others_nor_the_wakeups(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cast.queued()
    stuck = cast.payment(
        cast.seller(symbol="C24TAA"), paidAt="2024-11-26T09:00:00+07:00"
    )  # there are no legal rules for 2024
    for data in (stuck, cast.payment(cast.seller())):
        payment, _ = facts.parse_payment(data)
        payment.parked = Payment.Parked.ACCOUNT
        payment.save()
    queues._connections.redis.flushdb()
    sweep()
    assert list(Payment.objects.exclude(parked="").values_list("merchant_code", flat=True)) == [stuck["merchantId"]]
    assert any(queues._connections.redis.llen(queues.issuance_queue(p)) for p in range(3))
    assert "[parkedPaymentFailed]" in caplog.text and "LookupError" in caplog.text


def test_a_parked_payment_that_does_not_add_up_is_kept_for_an_operator() -> None:
    refused_before_its_merchant()
    payment = Payment.objects.get()
    assert (payment.parked, Invoice.objects.count()) == ("refused", 0)
    assert "vatRate" in payment.problem


def refused_before_its_merchant() -> dict[str, Any]:
    """A sale that was parked and does not add up on its merchant's form."""
    data = cast.payment("new-merchant", lines=[{"name": "Trà", "quantity": 1, "unitPrice": 5000}], total=5000)
    apply_facts(*facts.parse_payment(data), actor="test")
    cast.seller(code="new-merchant", form="1")
    open_parked_payments()
    return data


CORRECTED = {"lines": [{"name": "Trà", "quantity": 1, "unitPrice": 5400, "vatRate": "8%"}], "total": 5400}


@pytest.mark.parametrize("swept", [True, False])
def test_a_payment_that_does_not_add_up_does_not_hold_up_another_of_its_order(swept: bool) -> None:
    first = cast.payment("new-merchant", lines=[{"name": "Trà", "quantity": 1, "unitPrice": 5000}], total=5000)
    apply_facts(*facts.parse_payment(first), actor="test")
    cast.seller(code="new-merchant", form="1")
    if swept:
        open_parked_payments()
    opening = apply_facts(*facts.parse_payment({**first, "paymentId": "corrected", **CORRECTED}), actor="test")
    assert opening.invoice
    assert (opening.outcome, opening.invoice.total, opening.invoice.payment_id) == ("opened", 5400, "corrected")
    assert not opening.invoice.tracings.filter(event_type="payment_conflict").exists()
    assert list(Payment.objects.values_list("parked", "problem").order_by("id"))[1] == ("", "")
    assert Payment.objects.exclude(parked="").count() == 0  # none waits: the order has its invoice


def test_a_refused_payment_opens_when_it_is_sent_again_corrected() -> None:
    data = refused_before_its_merchant()
    with pytest.raises(facts.Unacceptable, match="vatRate"), transaction.atomic():
        apply_facts(*facts.parse_payment(data), actor="test")
    opening = apply_facts(*facts.parse_payment({**data, **CORRECTED, "buyer": cast.PERSON}), actor="test")
    assert opening.invoice
    assert (opening.outcome, opening.invoice.total, opening.invoice.buyer) == ("opened", 5400, cast.PERSON)
    assert (Payment.objects.get().parked, Payment.objects.get().problem) == ("", "")


def test_a_refund_of_an_order_whose_payment_does_not_add_up_is_stored() -> None:
    data = refused_before_its_merchant()
    assert apply_facts(facts.parse_refund(cast.refund(data)), actor="test").outcome == "stored"
    apply_facts(*facts.parse_payment({**data, "paymentId": "corrected", **CORRECTED}), actor="test")
    assert Invoice.objects.get().state == State.CANCELLED


def test_a_refused_payment_is_tried_again_when_its_merchant_s_tax_data_changes() -> None:
    refused_before_its_merchant()
    tax_info = Merchant.objects.get().tax_info
    tax_info.method = TaxInfo.Method.DIRECT
    tax_info.save()
    cast.account(tax_info.merchant, form="2")
    open_parked_payments()
    assert (Invoice.objects.get().form, Payment.objects.get().problem) == ("2", "")


def test_a_second_payment_with_another_amount_is_reported_even_if_it_was_parked() -> None:
    for code, arrives_first in (("early", True), ("late", False)):
        if arrives_first:
            cast.seller(code=code)
        data = cast.payment(code)
        apply_facts(*facts.parse_payment(data), actor="test")
        apply_facts(*facts.parse_payment({**data, "paymentId": f"other-{code}", **CORRECTED}), actor="test")
        if not arrives_first:
            cast.seller(code=code)
            open_parked_payments()
        invoice = Invoice.objects.get(merchant__code=code)
        assert (invoice.total, invoice.tracings.filter(event_type="payment_conflict").count()) == (110000, 1)


def test_a_second_payment_with_the_same_amount_is_no_conflict_after_an_amendment() -> None:
    data = cast.payment(cast.seller())
    apply_facts(*facts.parse_payment(data), actor="test")
    apply_facts(facts.parse_refund(cast.refund(data, amount=40000, full=False)), actor="test")
    invoice = amend(Invoice.objects.get(), actor="user:7", reason="partly refunded", lines=data["lines"][:1])
    apply_facts(*facts.parse_payment({**data, "paymentId": "again"}), actor="test")
    assert not invoice.tracings.filter(event_type="payment_conflict").exists()


def test_the_configuration_of_an_invoice_does_not_change_with_its_merchant() -> None:
    invoice = cast.waiting()
    invoice.merchant.tax_info.legal_name = "Another name"
    invoice.merchant.tax_info.save()
    invoice.refresh_from_db()
    assert invoice.config_snapshot["seller"]["legalName"] == "Công ty Cổ phần Sương Mai"
    assert "password" not in str(invoice.config_snapshot)


ARRIVES = "the merchant arrives"
PAYMENTS = ("payment", "payment of another amount")
FACTS = (ARRIVES, *PAYMENTS, "partial refund", "full refund", "checkout", "checkout later", "claim", "claim later")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data(), chosen=st.sets(st.sampled_from(FACTS)))
def test_the_end_depends_only_on_the_set_of_facts(data: st.DataObject, chosen: set[str]) -> None:
    shuffled = _shuffled(data, chosen | {ARRIVES, "payment"})
    in_order = sorted(set(shuffled), key=FACTS.index)
    if (
        next(name for name in shuffled if name in PAYMENTS) != PAYMENTS[0]
    ):  # of two different payments the first one counts
        in_order[1:3] = reversed(PAYMENTS)
    now = clock.now()
    with clock.frozen(now):
        assert _end(in_order, now) == _end(shuffled, now)


def _shuffled(data: st.DataObject, chosen: set[str]) -> list[str]:
    names = sorted(chosen)
    return data.draw(st.permutations([*names, *data.draw(st.lists(st.sampled_from(names), max_size=4))]))


def _end(order: list[str], now: datetime) -> tuple[Any, ...]:
    data = cast.payment(f"merchant-{next(_codes)}", paidAt=now.isoformat())
    for name in order:
        if name != ARRIVES:
            apply_facts(*_fact(name, data, now), actor="test")
        elif not Merchant.objects.filter(code=data["merchantId"]).exists():
            cast.seller(code=data["merchantId"])
            open_parked_payments()
    invoice = Invoice.objects.get(merchant__code=data["merchantId"])
    return (
        invoice.state, invoice.failure, invoice.buyer, invoice.buyer_source, invoice.refunded_amount, invoice.total,
        invoice.not_before if invoice.state == State.QUEUED else None,
        invoice.tracings.filter(event_type="payment_conflict").count(),
        Payment.objects.filter(merchant_code=data["merchantId"]).exclude(parked="").count(),
    )  # fmt: skip


def _fact(name: str, data: dict[str, Any], now: datetime) -> Any:
    at = FACTS.index(name)
    when = (now - timedelta(minutes=20 - at)).isoformat()
    if name == "payment":
        return facts.parse_payment(data)
    if name == "payment of another amount":
        return facts.parse_payment({**data, "paymentId": f"{data['paymentId']}-too", **CORRECTED})
    if name == "partial refund":
        return (facts.parse_refund(cast.refund(data, refundId="part", amount=1000, full=False, refundedAt=when)),)
    if name == "full refund":
        return (facts.parse_refund(cast.refund(data, refundId="all", refundedAt=when)),)
    buyer = {**cast.PERSON, "name": f"Người mua {at}"}
    request = facts.parse_request(cast.request(data, requestId=name, requestedAt=when, buyer=buyer))
    if name.startswith("claim"):
        request.source = InvoiceRequest.Source.CLAIM
    return (request,)
