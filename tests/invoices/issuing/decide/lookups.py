"""All answers to a look-up, on all lawful rows."""

import itertools
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from invoices.lifecycle import State
from invoices.models import Invoice
from invoices.providers.base import Found, Refused, Scope, Unavailable, Uncertain
from tests.invoices.issuing.decide.rows import (
    DAY,
    DOCUMENT,
    INSTANT,
    LIMITS,
    NOW,
    REFUNDS,
    SECOND,
    THIS,
    refunded,
    row,
)
from tests.invoices.issuing.decide.sends import lawful_rows

ODD = {"lookup_code": "K7M2", "lookup_url": "https://vendor.example/look-up"}
OURS = Found(number="7", symbol="C26TAA", code="00A1", **ODD)
REPORTED = {
    "issued_on": DOCUMENT.issue_date,
    "seller_tax_code": DOCUMENT.seller.tax_code,
    "buyer_tax_code": "",
    "total": DOCUMENT.total,
}
FOUND = {
    "found": OURS,
    "found, all fields reported": replace(OURS, **REPORTED),
    "found without a code": replace(OURS, code=""),
}
REJECTED = {"found, rejected": replace(OURS, code="", rejected="MST người mua không tồn tại")}
DIFFERENT = {
    "another symbol": replace(OURS, symbol="C26TBB"),
    "another day": replace(OURS, issued_on=DOCUMENT.issue_date - DAY),
    "another seller": replace(OURS, seller_tax_code="0319999997"),
    "another buyer": replace(OURS, buyer_tax_code="0100109106"),
    "another total": replace(OURS, total=DOCUMENT.total + 1),
    "nothing to pay": replace(OURS, total=0),
    "another total, rejected": replace(OURS, total=1, code="", rejected="sai"),
}
SECOND_NUMBER = {"another number": replace(OURS, number="8")}
ERRORS = {
    "unavailable": Unavailable("timeout", "no answer"),
    "account refused": Refused("DONOT_HAVE_PERMISSION", "", scope=Scope.ACCOUNT),
    "uncertain": Uncertain("http_500", "a page", look_up_now=True),
}
ANSWERS: dict[str, Any] = FOUND | REJECTED | DIFFERENT | SECOND_NUMBER | ERRORS | {"not found": None}
KEY = {  # how long ago the first doubt was
    "none": None, "fresh": timedelta(hours=1), "kept until now": LIMITS.key_unique_for,
    "forgotten": LIMITS.key_unique_for + INSTANT,
}  # fmt: skip


@dataclass(frozen=True)
class LookUp:
    """`by`: the attempt that exposed the invoice. The look-up is of THIS attempt."""

    state: State
    by: int | None
    number: str
    reason: str
    answer: str
    proofs: int = 0  # not-founds of the attempt that prove something, with this one
    numbered: bool = False  # the attempt was given a number
    settled: float = -30  # seconds from the last byte, or the last proof, to now
    key: str = "fresh"
    refund: str = "none"
    tries: int = 1
    lookups: int = 0
    final: bool = True  # a final look-up is scheduled

    @property
    def row(self) -> Invoice:
        age = KEY[self.key]
        return row(
            self.state, exposed_by=self.by, number=self.number, failure=self.reason, attempts=self.tries,
            lookups=self.lookups, first_uncertain_at=None if age is None else NOW - age,
            final_lookup_at=NOW + DAY / 2 if self.final else None, **refunded(self.refund),
        )  # fmt: skip

    @property
    def last(self) -> datetime:
        return NOW - self.settled * SECOND

    @property
    def awaited(self) -> bool:
        return self.state in (State.UNCERTAIN, State.SUBMITTED)

    @property
    def open_refund(self) -> bool:
        amount, settled = REFUNDS[self.refund]
        return amount > settled

    @property
    def found(self) -> bool:
        return isinstance(ANSWERS[self.answer], Found)

    @property
    def proves(self) -> bool:
        """A not-found of the attempt that exposes an invoice in doubt."""
        return self.answer == "not found" and self.state == State.UNCERTAIN and self.by == THIS

    @property
    def absent(self) -> bool:
        return self.proves and self.proofs >= 2 and not self.numbered and not self.number

    @property
    def conflicting(self) -> bool:
        return self.answer in DIFFERENT or bool(self.number and self.answer in SECOND_NUMBER)


@cache
def cases() -> list[LookUp]:
    """States that wait for a look-up with all axes that matter to the answer; the others with the answer alone."""
    every = []
    for (state, by, number, reason), answer in itertools.product(lawful_rows(), ANSWERS):
        case = LookUp(state, by, number, reason, answer)
        if case.found and state in (State.WAITING, State.EXPIRED):
            continue  # such an invoice was never sent
        if case.proves:
            axes = itertools.product((0, 1, 2, 3), (False, True), (-90, 30, 90), KEY, REFUNDS, (1, 6, 7), (False, True))
            every += [
                replace(case, proofs=p, numbered=n, settled=s, key=k, refund=r, tries=t, lookups=p, final=f)
                for p, n, s, k, r, t, f in axes
            ]
        elif case.awaited:
            axes = itertools.product((0, 2), (0, 5, 30_000), REFUNDS, (False, True))
            every += [replace(case, proofs=p, lookups=n, refund=r, final=f) for p, n, r, f in axes]
        elif state not in (State.FAILED, State.CANCELLED):  # see test_final_lookup.py
            every += [replace(case, proofs=p, final=f) for p, f in itertools.product((0, 2), (False, True))]
    return every
