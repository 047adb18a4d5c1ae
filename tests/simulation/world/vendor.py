"""A model provider in memory, with two personalities.

*strict* refuses a key that it knows (for three days, as Viettel promises) and may commit arbitrarily late, but before
our final look-up; a careless one may also give a document a second number. *forgetful* creates a second invoice for any
key, but commits within the settle time.
"""

import json
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from invoices.issuing.calls import Call, limits_of
from invoices.providers.base import Found, Issued, ProviderError, Refused, Scope, Submitted, Unavailable, Uncertain
from tests.simulation.world.dice import Dice

PERSONALITIES = ("strict", "forgetful")
LIMITS = limits_of("viettel")
SETTLE = timedelta(seconds=LIMITS.settle)
REMEMBERS = timedelta(days=3)
OTHER_SYMBOL = "C26TZZ"
CODE = "00474597512BE94B7BAB367996EF464828"


@dataclass(slots=True)
class BookedInvoice:
    """An invoice in the provider's books. `visible_at`: look-ups find it from then on; `judged_at`: the tax
    authority's decision."""

    account: int
    reference: str
    document: str
    number: str
    committed_at: datetime
    visible_at: datetime
    judged_at: datetime | None = None
    rejected: str = ""
    issuance: int = 0  # the attempt that made it
    content: dict[str, Any] = field(default_factory=dict)

    @property
    def symbol(self) -> str:
        return self.content["symbol"]

    def code(self, now: datetime) -> str:
        return CODE if self.judged_at and self.judged_at <= now and not self.rejected else ""


@dataclass(slots=True)
class Pending:
    """A document that was received and will be committed at `due`."""

    account: int
    reference: str
    document: str
    issuance: int
    due: datetime


class Vendor:
    def __init__(self, personality: str, dice: Dice) -> None:
        self.strict = personality == "strict"
        self.dice = dice
        self.careless = self.strict and dice.maybe(0.4)  # it does not always notice a key that it knows
        self.books: list[BookedInvoice] = []
        self.pending: list[Pending] = []
        self.backwards: list[str] = []  # references whose commit would have made a symbol's dates run backwards
        self.calm = False  # no more faults

    def known(self, reference: str, account: int | None = None) -> list[BookedInvoice]:
        return [p for p in self.books if p.reference == reference and account in (None, p.account)]

    def live(self, reference: str) -> list[BookedInvoice]:
        return [p for p in self.known(reference) if not p.rejected]

    # --- a send arrives -----------------------------------------------------------------------------------------

    def receive(self, call: Call, now: datetime, late: timedelta | None) -> Issued | Submitted | ProviderError:
        """The provider's answer. `late`: it commits that much later."""
        account, reference, document = call.account.id, call.reference, call.document
        remembers = self.strict and not (self.careless and self.dice.maybe(0.7))
        if remembers and any(now - p.committed_at < REMEMBERS for p in self.known(reference, account)):
            return Uncertain("TRANSACTION_UUID_INVALID", "the key was used", look_up_now=self.dice.maybe(0.8))
        if remembers and any(p.reference == reference for p in self.pending):
            return Uncertain("TRANSACTION_IS_BEING_PROCESSED")
        if self._last_date(account) > _date(document):
            return Refused("INVOICE_ISSUED_DATE_INVALID", "date before last", scope=Scope.DATE_ORDER)
        if late is not None:
            self.pending.append(Pending(account, reference, document, call.issuance_id, now + late))
            return Uncertain("late")
        return self.response_for(self._commit(account, reference, document, call.issuance_id, now), now)

    def commit_due(self, now: datetime) -> list[str]:
        """Commit the pending documents that are due. Returns their references."""
        due = sorted((p for p in self.pending if p.due <= now), key=lambda p: p.due)
        for p in due:
            self.pending.remove(p)
            if self.strict and not self.careless and self.known(p.reference, p.account):
                continue
            if self._last_date(p.account) > _date(p.document):
                self.backwards.append(p.reference)
                continue
            self._commit(p.account, p.reference, p.document, p.issuance, p.due)
        return [p.reference for p in due]

    def _commit(self, account: int, reference: str, document: str, issuance: int, at: datetime) -> BookedInvoice:
        number = str(1 + sum(p.account == account for p in self.books))
        content = json.loads(document)
        if self.careless and (first := self.known(reference, account)) and self.dice.maybe(0.4):
            number, content["symbol"] = first[0].number, OTHER_SYMBOL
        booked = BookedInvoice(account, reference, document, number, at, at, at, issuance=issuance, content=content)
        if not self.calm:
            booked.visible_at += self.dice.pick([(6, timedelta()), (1, SETTLE * self.dice.share())])
            booked.judged_at = at + self.dice.pick([(6, timedelta()), (2, timedelta(seconds=400))])
            booked.rejected = "the tax authority refused it" if self.dice.maybe(0.04) else ""
            if booked.rejected:
                booked.judged_at = at + timedelta(seconds=90)
        self.books.append(booked)
        return booked

    def response_for(self, booked: BookedInvoice, now: datetime) -> Issued | Submitted:
        if code := booked.code(now):
            return Issued(number=booked.number, symbol=booked.symbol, code=code)
        return Submitted(number=booked.number, symbol=booked.symbol)

    def _last_date(self, account: int) -> date:
        return max((_date(p.document) for p in self.books if p.account == account), default=date.min)

    # --- a look-up arrives --------------------------------------------------------------------------------------

    def find(self, account: int, reference: str, now: datetime) -> Found | ProviderError | None:
        if not self.calm and self.dice.maybe(0.15):
            return self.dice.pick([(1, Uncertain("http_500")), (1, Unavailable("connect"))])
        seen = [p for p in self.known(reference, account) if p.visible_at <= now]
        if not seen:
            return None
        p = seen[0]
        judged = p.judged_at is not None and p.judged_at <= now
        return Found(
            number=p.number,
            symbol=p.symbol,
            code=p.code(now),
            issued_on=_date(p.document),
            seller_tax_code=p.content["seller"]["tax_code"],
            buyer_tax_code=p.content["buyer"]["tax_code"],
            total=p.content["total"],
            rejected=p.rejected if judged else "",
        )


def _date(document: str) -> date:
    return date.fromisoformat(json.loads(document)["issue_date"])
