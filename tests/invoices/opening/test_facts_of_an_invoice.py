"""What requests, claims and refunds do to an invoice that exists: over all states, buyers and sums."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

import pytest

from config.base import clock
from invoices.lifecycle import State
from invoices.models import Invoice, InvoiceRequest, LegalRules, Refund
from invoices.moving import Step
from invoices.opening.existing_invoice import _step
from invoices.opening.facts import winning_request
from tests import DAY
from tests.invoices.issuing.decide.rows import (
    ANYTHING,
    NOTHING,
    NOW,
    SECOND,
    TOTAL,
    Rule,
    as_params,
    check_each_has_one_rule,
    check_rule,
    failed,
    row,
)
from tests.invoices.issuing.decide.sends import lawful_rows

SHOP, MAI = {"kind": "company", "name": "Hoa Sen"}, {"kind": "individual", "name": "Mai"}
GRACE = 120 * SECOND
REFUNDS = {  # amount, and whether it is all that is left
    "none": [],
    "part": [(40_000, False)],
    "two parts": [(40_000, False), (10_000, False)],
    "all of it": [(TOTAL, True)],
    "all in two parts": [(40_000, False), (70_000, False)],
}
OPEN = (State.WAITING, State.QUEUED)
WITH_NUMBER = (State.SUBMITTED, State.ISSUED)


@pytest.fixture(autouse=True)
def law(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = LegalRules(effective_from=DAY - timedelta(days=400), claims_close=time(23, 55))
    monkeypatch.setattr(LegalRules, "_known", [rules])
    monkeypatch.setattr(LegalRules, "_known_until", math.inf)


@dataclass(frozen=True)
class Facts:
    """`known`: what of them the row has already; `final`: why no fact may change the buyer any more."""

    state: State
    by: int | None
    number: str
    reason: str
    request: str  # none, the same buyer, another buyer, a claim
    refund: str
    final: str = ""  # taken, operator
    claimed: bool = False  # before
    known: str = "none"  # of the refunds

    @property
    def row(self) -> Invoice:
        return row(
            self.state, exposed_by=self.by, number=self.number, failure=self.reason, buyer=SHOP,
            buyer_source="operator" if self.final == "operator" else "payment",
            document_sha256="ab" if self.by or self.final == "taken" else "",
            claimed_at=NOW - SECOND if self.claimed else None,
            refunded_amount=sum(amount for amount, _ in REFUNDS[self.known]),
        )  # fmt: skip

    @property
    def names_another(self) -> bool:
        return self.request in ("another buyer", "a claim")

    @property
    def buyer_changes(self) -> bool:
        return self.names_another and not (self.by or self.final or self.state == State.EXPIRED)

    @property
    def claims(self) -> bool:
        return self.request == "a claim" and self.state in OPEN and not self.final and not self.claimed

    @property
    def refunds(self) -> bool:
        return REFUNDS[self.refund] != REFUNDS[self.known]

    @property
    def full(self) -> bool:
        return self.refund.startswith("all")


def cases() -> Iterator[Facts]:
    requests = ("none", "the same buyer", "another buyer", "a claim")
    for (state, by, number, reason), request, refund in itertools.product(lawful_rows(), requests, REFUNDS):
        known = ("none", "part") if refund != "none" else ("none",)
        for final, claimed, before in itertools.product(("", "taken", "operator"), (False, True), known):
            if not (final and (by or state in (State.WAITING, State.EXPIRED))):
                yield Facts(state, by, number, reason, request, refund, final, claimed, before)


def decide(case: Facts) -> tuple[Invoice, Step | None]:
    before = case.row
    source = "claim" if case.request == "a claim" else "checkout"
    request = None
    if case.request != "none":
        request = InvoiceRequest(source=source, buyer=MAI if case.names_another else SHOP)
    refunds = [
        Refund(amount=amount, full=full, refunded_at=NOW - at * SECOND)
        for at, (amount, full) in enumerate(REFUNDS[case.refund])
    ]
    with clock.frozen(NOW):
        return before, _step(before, request=request, claimed=source == "claim", refunds=refunds)


def named(case: Facts) -> dict[str, Any]:
    """The buyer as the request has it, where it may still change."""
    if not case.buyer_changes:
        return {}
    return {"buyer": MAI, "buyer_source": "claim" if case.request == "a claim" else "checkout"}


def noted(case: Facts) -> dict[str, Any]:
    """The refund, and whatever else came with it."""
    sums = {"refunded_amount": sum(amount for amount, _ in REFUNDS[case.refund]), "refunded_at": NOW}
    claimed = {"claimed_at": NOW, "not_before": ANYTHING} if case.claims else {}
    return {**named(case), **claimed, **sums}


RULES = [
    Rule(
        "a repetition or a buyer that came too late changes nothing",
        lambda c: not c.refunds and not c.claims and not c.buyer_changes,
        lambda c: NOTHING,
    ),
    Rule(
        "a request names the buyer until the invoice is taken or an operator has named one",
        lambda c: not c.refunds and not c.claims and c.buyer_changes,
        lambda c: {**named(c), "audit": ("buyer_changed", "ok")},
    ),
    Rule(
        "the first claim of a waiting invoice queues it for two minutes in which it stays editable",
        lambda c: not c.refunds and c.claims and c.state == State.WAITING,
        lambda c: {
            **named(c), "state": State.QUEUED, "claimed_at": NOW, "not_before": NOW + GRACE, "audit": ("claimed", "ok"),
        },
    ),
    Rule(
        "the first claim of a queued invoice does not delay it",
        lambda c: not c.refunds and c.claims and c.state == State.QUEUED,
        lambda c: {**named(c), "claimed_at": NOW, "audit": ("claimed", "ok")},
    ),
    Rule(
        "a refund of a numbered invoice owes a correction",
        lambda c: c.refunds and c.state in WITH_NUMBER,
        lambda c: {**noted(c), "correction_owed": True, "audit": ("correction_owed", "ok")},
    ),
    Rule(
        "a refund of an invoice that a provider may know is noted and waits for the answer",
        lambda c: c.refunds and c.state not in WITH_NUMBER and c.by is not None,
        lambda c: {**noted(c), "audit": ("refund_noted", "ok")},
    ),
    Rule(
        "a whole refund cancels what no provider knows",
        lambda c: c.refunds and c.full and c.by is None and c.state in (*OPEN, State.FAILED),
        lambda c: {
            **noted(c), "state": State.CANCELLED, "failure": "", "audit": ("cancelled", "ok"),
        },
    ),
    Rule(
        "a refund in part stops what no provider knows until its lines are amended",
        lambda c: c.refunds and not c.full and c.state in OPEN,
        lambda c: {**noted(c), **failed("amended"), "audit": ("failed", "ok")},
    ),
    Rule(
        "a refund of what has ended without a number is noted",
        lambda c: c.refunds and c.by is None
        and (c.state in (State.CANCELLED, State.EXPIRED) or (c.state == State.FAILED and not c.full)),
        lambda c: {**noted(c), "audit": ("refund_noted", "ok")},
    ),
]  # fmt: skip


@pytest.mark.parametrize("rule", as_params(RULES))
def test_facts_of_an_invoice(rule: Rule[Facts]) -> None:
    check_rule(rule, cases(), decide)


def test_every_set_of_facts_falls_under_one_rule() -> None:
    check_each_has_one_rule(RULES, cases())


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ((12, 0), (12, 2)),
        ((23, 53), (23, 55)),
        ((23, 54), (23, 55)),  # never past the day's last moment for claims
        ((23, 55), (23, 55)),
        ((23, 58), (23, 58)),  # and never in the past
        ((25, 0), (25, 0)),
    ],
)
def test_a_claim_is_due_after_its_grace_but_not_after_the_cutoff_of_the_sale_day(now: Any, due: Any) -> None:
    claim = InvoiceRequest(source="claim", buyer=MAI)
    before = row(State.WAITING, paid_at=clock.at_vn(DAY, 21), document_sha256="")
    with clock.frozen(clock.at_vn(DAY, *now)):
        step = _step(before, request=claim, claimed=True, refunds=[])
    assert step and step.changes["not_before"] == clock.at_vn(DAY, *due)


def test_the_latest_refund_gives_the_time_and_all_of_them_the_sum() -> None:
    times = [NOW, NOW - timedelta(hours=1), NOW + timedelta(hours=1)]
    for order in itertools.permutations(times):
        refunds = [Refund(amount=10_000, full=False, refunded_at=at) for at in order]
        step = _step(row(State.ISSUED, exposed_by=101, number="7"), request=None, claimed=False, refunds=refunds)
        assert step and (step.changes["refunded_amount"], step.changes["refunded_at"]) == (30_000, max(times))


def test_a_claim_beats_a_request_beats_the_payment_then_the_later_wins_then_the_id() -> None:
    """In any order of arrival. Consumers and requests that came too late name nobody."""

    def request(source: str, at: datetime, name: str, *, late: bool = False, named: bool = True) -> InvoiceRequest:
        buyer = {"name": name} if named else {}
        return InvoiceRequest(source=source, requested_at=at, request_id=name, buyer=buyer, too_late=late)

    late, early = NOW + SECOND, NOW - SECOND
    ranked = [
        request("claim", early, "claim a"),
        request("api", late, "api c"),
        request("checkout", NOW, "checkout b"),
        request("api", NOW, "api a"),  # as late as the one above, with a smaller id
        request("checkout", early, "checkout z"),
        request("payment", late, "payment"),
    ]
    nobody = [
        request("claim", late, "too late", late=True),
        request("claim", late, "the consumer", named=False),
    ]
    for count in range(len(ranked) + 1):
        for chosen in itertools.combinations(ranked, count):
            for order in itertools.permutations(chosen) if count < 4 else [chosen, chosen[::-1]]:
                assert winning_request([*nobody, *order]) is (chosen[0] if chosen else None)
