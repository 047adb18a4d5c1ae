"""All answers to a send, on all lawful rows."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from invoices.lifecycle import Reason, State
from invoices.models import Invoice
from invoices.providers.base import (
    Issued,
    ProviderError,
    Refused,
    Scope,
    Submitted,
    Unavailable,
    Uncertain,
)
from tests.invoices.issuing.decide.rows import DAY, NOW, OTHER, REFUNDS, SECOND, THIS, UNSENT, refunded, row

ODD = {"lookup_code": "K7M2", "lookup_url": "https://vendor.example/look-up"}

NUMBERS = {
    "issued": Issued(number="7", symbol="C26TAA", code="00A1", **ODD),
    "issued, needs no code": Issued(number="7", symbol="K26TAA", code="", **ODD),
    "submitted": Submitted(number="7", symbol="C26TAA", **ODD),
    "issued, its code is missing": Issued(number="7", symbol="C26TAA", code="", **ODD),
    "issued with another number": Issued(number="8", symbol="C26TAA", code="00A2", **ODD),
    "issued under another symbol": Issued(number="7", symbol="C26TBB", code="00A3", **ODD),
}
SAME = ("issued", "submitted", "issued, its code is missing")
FAILURES = {
    "order refused": Refused("TAX_CODE_INVALID", "unknown", scope=Scope.ORDER, field="buyer.tax_code"),
    "account refused": Refused("OUT_OF_INVOICE_NO", "no numbers", scope=Scope.ACCOUNT),
    "login refused": Refused("INVALID_USER_PASSWORD", "wrong", scope=Scope.ACCOUNT, login=True),
    "date refused": Refused("INVOICE_ISSUED_DATE_INVALID", "earlier than the last", scope=Scope.DATE_ORDER),
    "unavailable": Unavailable("refused", "no connection"),
    "too many requests": Unavailable("http_429", "too many requests", retry_after=1000),
    "not sent": Unavailable("not_sent", "too late to start this call"),
    "uncertain": Uncertain("timeout", "no answer"),
    "known there": Uncertain("TRANSACTION_UUID_INVALID", "used", look_up_now=True),
    "an error without a class": ProviderError("odd", "what is this"),
}
ANSWERS: dict[str, Any] = NUMBERS | FAILURES
LEFT = {"hours": 36_000, "minutes": 200, "a moment more than a last chance": 21, "a last chance": 20, "nothing": 0}
DOUBTS = ((False, False), (True, False), (True, True))  # a send was in doubt before, a final look-up is scheduled


@dataclass(frozen=True)
class Send:
    """`by`: the attempt that exposed the invoice. The answer is that of THIS attempt."""

    state: State
    by: int | None
    number: str
    reason: str
    answer: str
    refund: str = "none"
    tries: int = 0  # used before this answer
    left: str = "hours"  # until the issue limit
    doubted: bool = False  # a send was of uncertain outcome before
    final: bool = False  # a final look-up is scheduled

    @property
    def row(self) -> Invoice:
        return row(
            self.state, exposed_by=self.by, number=self.number, failure=self.reason, attempts=self.tries,
            issue_until=NOW + LEFT[self.left] * SECOND, first_uncertain_at=NOW - DAY if self.doubted else None,
            final_lookup_at=NOW + DAY / 2 if self.final else None, **refunded(self.refund),
        )  # fmt: skip

    @property
    def numbered(self) -> bool:
        return self.answer in NUMBERS

    @property
    def same(self) -> bool:
        """The answer gives the legal number that the invoice has."""
        return self.answer in SAME

    @property
    def answers_current(self) -> bool:
        """The attempt may be at the provider now, and this is its answer."""
        return self.by == THIS and self.state in (State.SENDING, State.UNCERTAIN)

    @property
    def open_refund(self) -> bool:
        amount, settled = REFUNDS[self.refund]
        return amount > settled

    @property
    def surely_absent(self) -> bool:
        """A failure that says that the provider does not have it."""
        return isinstance(FAILURES.get(self.answer), Refused | Unavailable)


def lawful_rows() -> Iterator[tuple[State, int | None, str, str]]:
    """State, exposing attempt, number, failure: what the database's CHECK constraints allow."""
    for state in UNSENT:
        yield state, None, "", ""
    for by in (THIS, OTHER):
        yield State.SENDING, by, "", ""
        yield State.UNCERTAIN, by, "", ""
        for state in (State.UNCERTAIN, State.SUBMITTED, State.ISSUED):
            yield state, by, "7", ""
        for reason in (Reason.SKIPPED, Reason.CONFLICT):
            yield State.FAILED, by, "", reason.value
        for reason in (Reason.REJECTED, Reason.CONFLICT):
            yield State.FAILED, by, "7", reason.value
    for reason in (Reason.REFUSED, Reason.LATE, Reason.EXHAUSTED, Reason.SKIPPED, Reason.AMENDED):
        yield State.FAILED, None, "", reason.value


@cache
def cases() -> list[Send]:
    """The whole product where the answer may move the invoice; elsewhere without the axes of a retry."""
    every = []
    for (state, by, number, reason), answer in itertools.product(lawful_rows(), ANSWERS):
        if state in (State.WAITING, State.EXPIRED) and answer in NUMBERS:
            continue  # such an invoice was never sent
        case = Send(state, by, number, reason, answer)
        moves = case.answers_current and not number and answer in FAILURES
        tries = (0, 1, 2, 5, 6, 7) if moves else (0,)
        axes = itertools.product(REFUNDS, tries, LEFT if moves else ("hours",), DOUBTS)
        every += [
            replace(case, refund=refund, tries=used, left=left, doubted=doubted, final=final)
            for refund, used, left, (doubted, final) in axes
        ]
    return every
