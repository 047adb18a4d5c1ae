"""Generate invoices with everything that would have happened to them by now, as rows for COPY.

This needs no database, so each core can write a part. Hashes, references and documents are made by the service's own
functions, so seeded invoices look like real ones to every reader.
"""

import bisect
import itertools
import random
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Model

from config.base import clock
from config.monitoring import counters
from invoices import audit
from invoices.audit import Event, Outcome, chain_hash
from invoices.counters import COUNTED_ENDS, bucket
from invoices.dev.seeding.copy_rows import NULL, CopyRows
from invoices.dev.seeding.sellers import MARK_DATE, MARK_REFERENCE, Buyer, Sale, Seller
from invoices.issuing import documents
from invoices.lifecycle import State
from invoices.models import Invoice, InvoiceAuditTracing, InvoiceIssuance, InvoiceRequest, Payment
from invoices.models.invoice import reference_of
from invoices.models.rules import issue_limit
from invoices.queues import partition_of

IDS = 16  # reserved for each invoice and its rows
CLOSES = timedelta(hours=23, minutes=55)
AT_ONCE = timedelta(hours=22)
# Ends of due invoices: state, failure, the provider's code and message, weight.
ENDS: list[tuple[State, str, str, str, float]] = [
    (State.ISSUED, "", "", "", 970.0),
    (State.CANCELLED, "", "", "", 12.0),
    (State.EXPIRED, "", "", "", 8.0),
    (State.FAILED, "refused", "BUYER_TAX_CODE_INVALID", "The buyer's tax code is not known.", 3.0),
    (State.FAILED, "exhausted", "http_503", "The provider was away all day.", 1.5),
    (State.FAILED, "late", "", "unsent when its issue limit had passed", 1.5),
    (State.FAILED, "rejected", "", "The tax authority refused it.", 0.5),
    (State.FAILED, "conflict", "", "a second number, C26TAA 9, for one document", 0.1),
    (State.UNCERTAIN, "", "timeout", "", 0.4),
    (State.SUBMITTED, "", "", "", 0.6),
]
SHARES = list(itertools.accumulate(weight for *_, weight in ENDS))
# The weight of each hour of a day.
HOURS = [1, 1, 1, 1, 1, 2, 6, 9, 8, 6, 6, 10, 11, 8, 6, 6, 7, 9, 11, 10, 7, 5, 3, 2]


@dataclass(frozen=True, slots=True)
class Plan:
    """What all parts of the seed share. `first` is the lowest id."""

    count: int
    run: str
    first: int
    now: datetime
    days: int
    sellers: list[Seller]
    buyers: list[Buyer]

    @property
    def hours(self) -> list[tuple[datetime, float]]:
        """Start and cumulative weight of each hour until now."""
        start = clock.at_vn(clock.day_vn(self.now)) - timedelta(days=self.days - 1)
        spans = [start + timedelta(hours=at) for at in range(int((self.now - start) / timedelta(hours=1)) + 1)]
        weights = itertools.accumulate(HOURS[at % 24] for at in range(len(spans)))
        return list(zip(spans, weights, strict=True))


@dataclass(slots=True)
class Part:
    lines: dict[type[Model], CopyRows]
    counts: Counter[tuple[datetime, str, str]]


def write_part(plan: Plan, start: int, stop: int) -> Part:
    """The invoices `start` to `stop` of a plan."""
    models: tuple[type[Model], ...] = (Invoice, InvoiceAuditTracing, InvoiceIssuance, Payment, InvoiceRequest)
    part = Part({model: CopyRows(model) for model in models}, Counter())
    dice = random.Random(f"{plan.run} {start}")
    hours = plan.hours
    ends, whole = [end for _, end in hours], hours[-1][1]
    for at in range(start, stop):
        began = hours[bisect.bisect_left(ends, (at + dice.random()) / plan.count * whole)][0]
        paid = min(began + timedelta(seconds=dice.random() * 3600), plan.now)
        seller = plan.sellers[int(len(plan.sellers) * dice.random() ** 2)]  # a few sellers have most of the sales
        SeededInvoice(plan, part, dice, at, seller, dice.choice(seller.sales), paid).add_rows()
    return part


class SeededInvoice:
    def __init__(
        self, plan: Plan, part: Part, dice: random.Random, at: int, seller: Seller, sale: Sale, paid: datetime
    ) -> None:
        self.plan, self.part, self.dice, self.seller, self.sale, self.paid = plan, part, dice, seller, sale, paid
        self.ids = (_snowflake(plan.first, at * IDS + turn) for turn in range(IDS))
        self.pk, self.number = next(self.ids), str(at + 1)
        self.order = f"{plan.run}-{at:08d}"
        self.seq, self.hash, self.state = 0, "", ""
        self.day = clock.day_vn(paid)
        self.reference = str(reference_of(seller.code, self.order, 1))
        self.row: dict[str, Any] = {}
        self.updated = paid
        self.paid_at = paid.isoformat()
        self.limit = issue_limit(paid)

    def add_rows(self) -> None:
        due, buyer, source = self._open()
        end, failure, code, message, _ = ENDS[bisect.bisect(SHARES, self.dice.random() * SHARES[-1])]
        old = self.plan.now - due > timedelta(hours=3)
        if due > self.plan.now:
            end, failure = State.WAITING, ""
        elif (old and end in (State.UNCERTAIN, State.SUBMITTED)) or (end == State.EXPIRED and not self.seller.window):
            end = State.ISSUED
        elif failure == "late" and self.limit > self.plan.now:
            end, failure = State.QUEUED, ""
        if end in (State.CANCELLED, State.EXPIRED):
            self._audit(Event.CANCELLED if end == State.CANCELLED else Event.CLAIM_WINDOW_CLOSED, due, end, "seeded")
        elif end not in (State.WAITING, State.QUEUED) and failure != "late":
            self._send(due, end, failure, code, message, buyer)
        elif failure:
            self._audit(Event.LATE, self.limit, State.FAILED, message, Outcome.FAILED)
        self._save(due, buyer, source, {"failure": failure, "failure_code": code, "failure_message": message})

    def _open(self) -> tuple[datetime, Buyer, str]:
        """Add the payment and the claim. Returns when the invoice is due, its buyer, and the buyer's source."""
        paid, dice, seller = self.paid, self.dice, self.seller
        midnight = clock.at_vn(self.day)
        buyer, source, window = self.plan.buyers[0], "", timedelta(minutes=seller.window)
        if not window or paid - midnight >= AT_ONCE:
            self._audit(Event.OPENED, paid, State.QUEUED, "no claim window: issue at once")
            deadline, due = None, paid
        else:
            deadline = min(paid + window, midnight + CLOSES)
            self._audit(Event.OPENED, paid, State.WAITING, f"the buyer may claim until {deadline.isoformat()}")
            claimed = paid + dice.random() * window
            if dice.random() < 0.25 and claimed < min(deadline, self.plan.now):
                buyer, source, due = dice.choice(self.plan.buyers[1:]), "claim", claimed + timedelta(minutes=2)
                self._audit(Event.CLAIMED, claimed, State.QUEUED, "by the buyer")
                self._request("claim", claimed, buyer)
                self.row["claimed_at"] = claimed.isoformat()
            else:
                due = deadline
                if due <= self.plan.now:
                    self._audit(Event.CLAIM_WINDOW_CLOSED, due, State.QUEUED, "not claimed: issue to the consumer")
        self.row["claim_deadline"] = deadline.isoformat() if deadline else NULL
        self._request("payment", paid, self.plan.buyers[0])
        body = f'{{"orderId":"{self.order}","paymentId":"pay-{self.order}","merchantId":"{seller.code}",'
        body += f'"paidAt":"{paid.isoformat()}","currency":"VND",{self.sale.sold[1:]}'
        self.part.lines[Payment].add(
            id=next(self.ids), created_at=self.paid_at, updated_at=self.paid_at, merchant_code=seller.code,
            order_id=self.order, payment_id=f"pay-{self.order}", paid_at=self.paid_at, body=body,
        )  # fmt: skip
        return due, buyer, source

    def _send(self, due: datetime, end: State, failure: str, code: str, message: str, buyer: Buyer) -> None:
        taken = min(due + timedelta(seconds=self.dice.expovariate(1 / 3)), self.plan.now)
        ended = min(taken + timedelta(seconds=0.2 + self.dice.expovariate(1)), self.plan.now)
        attempt, seller = next(self.ids), self.seller
        document = self.sale.document.replace(MARK_REFERENCE, self.reference).replace(str(MARK_DATE), str(self.day))
        document = document.replace(self.plan.buyers[0].printed, buyer.printed)
        self.row |= {"document": document, "document_sha256": documents.sha256(document)}
        self._audit(Event.TAKEN, taken, State.SENDING, "", after={"exposed_at": taken, "exposed_by": attempt})
        outcome = {"refused": "refused", "exhausted": "unavailable"}.get(failure) or (
            "uncertain" if end == State.UNCERTAIN else "submitted" if end == State.SUBMITTED else "issued"
        )
        numbered = outcome in ("issued", "submitted") and failure != "conflict"
        self.part.lines[InvoiceIssuance].add(
            id=attempt, created_at=taken.isoformat(), updated_at=ended.isoformat(), invoice_id=self.pk,
            account_id=seller.account, attempt=1, provider="viettel", tax_code=seller.tax_code,
            reference=self.reference, document_sha256=self.row["document_sha256"], taken_at=taken.isoformat(),
            last_byte_by=ended.isoformat(), ended_at=ended.isoformat(), outcome=outcome, code=code, message=message,
            scope="order" if outcome == "refused" else "", symbol=seller.symbol if numbered else "",
            number=self.number if numbered else "",
        )  # fmt: skip
        exposed = end in (State.ISSUED, State.UNCERTAIN, State.SUBMITTED) or failure in ("rejected", "conflict")
        if exposed:
            self.row |= {"exposed_at": taken.isoformat(), "exposed_by": attempt}
        facts: dict[str, Any] = {"number": self.number, "symbol": seller.symbol} if numbered else {"failure": failure}
        if numbered:
            self.row |= {"number": self.number, "lookup_code": f"L{self.pk % 10**10}"}
        if end == State.ISSUED:
            code_of_tax = f"{self.pk:034d}"[:34]
            self.row |= {"code": code_of_tax, "issued_at": ended.isoformat()}
            facts |= {"code": code_of_tax, "issued_at": ended}
            if self.dice.random() < 0.002 and ended > self.plan.now - timedelta(minutes=20):
                self.row["files_due"] = self.plan.now.isoformat()
        event = Event({"exhausted": "dead_letter"}.get(failure) or failure or end.lower())
        ok = Outcome.FAILED if failure else Outcome.OK
        self._audit(event, ended, end, f"{code}: {message}" if code else message, ok, facts)
        if end == State.ISSUED and self.dice.random() < 0.0005:
            back = min(ended + timedelta(minutes=9), self.plan.now)
            self._audit(Event.CORRECTION_OWED, back, end, "refunded after it was issued")
            self.row |= {
                "correction_owed": "t", "refunded_at": back.isoformat(), "refunded_amount": self.sale.total,
            }  # fmt: skip

    def _audit(
        self,
        event: Event,
        at: datetime,
        state: State,
        reason: str,
        outcome: Outcome = Outcome.OK,
        after: dict[str, Any] | None = None,
    ) -> None:
        before = {"state": self.state} if self.state else {}
        self.seq += 1
        pk, actor = (
            next(self.ids),
            "buyer" if event == Event.CLAIMED else "webhook:internal" if self.seq == 1 else "worker",
        )
        record = audit.record_text(
            pk=pk, invoice_id=self.pk, seq=self.seq, event=event, outcome=outcome, actor=actor, reason=reason,
            before=before, after={"state": state.value} | (after or {}), at=at,
        )  # fmt: skip
        self.hash = chain_hash(self.hash, record)
        self.part.lines[InvoiceAuditTracing].add(
            id=pk, invoice_id=self.pk, seq=self.seq, event_type=event.value, outcome=outcome.value, actor=actor,
            at=at.isoformat(), record=record, hash=self.hash,
        )  # fmt: skip
        if state in COUNTED_ENDS and state != self.state and at > self.plan.now - counters.RETENTION:
            label = str(bucket((at - self.paid).total_seconds())) if state == State.ISSUED else ""
            label = (after or {}).get("failure", "late") if state == State.FAILED else label
            self.part.counts[counters.slot_start(at), state.value, label] += 1
        self.state, self.updated = state.value, at

    def _request(self, source: str, at: datetime, buyer: Buyer) -> None:
        self.part.lines[InvoiceRequest].add(
            id=next(self.ids), created_at=at.isoformat(), updated_at=at.isoformat(), merchant_code=self.seller.code,
            order_id=self.order, request_id=f"{source}:{self.order}", source=source, requested_at=at.isoformat(),
            buyer=buyer.details, invoice_id=self.pk,
        )  # fmt: skip

    def _save(self, due: datetime, buyer: Buyer, source: str, failure: dict[str, str]) -> None:
        seller, state = self.seller, self.state
        again = self.plan.now + timedelta(minutes=60 * self.dice.random())
        if state == State.FAILED:
            self.row |= failure | ({"failure_field": "buyer.tax_code"} if failure["failure"] == "refused" else {})
        doubted = {"first_uncertain_at": self.row.get("exposed_at")} if state == State.UNCERTAIN else {}
        self.part.lines[Invoice].add(
            id=self.pk, created_at=self.paid_at, updated_at=self.updated.isoformat(), merchant_id=seller.pk,
            order_id=self.order, payment_id=f"pay-{self.order}", paid_at=self.paid_at, sold=self.sale.sold,
            bill=self.sale.bill, total=self.sale.total, vat=self.sale.vat, buyer=buyer.details, buyer_source=source,
            claim_token=f"{self.dice.getrandbits(192):048x}"[:43], account_id=seller.account,
            config_snapshot=seller.snapshot, partition=partition_of(self.order), state=state,
            not_before=again.isoformat(),
            attempts=1 if state in (State.FAILED, State.UNCERTAIN) else 0, issue_date=str(self.day),
            issue_until=self.limit.isoformat(), reference=self.reference, provider="viettel",
            seller_tax_code=seller.tax_code, form=seller.form, symbol=seller.symbol,
            audit_seq=self.seq, audit_hash=self.hash, **self.row, **doubted,
        )  # fmt: skip


def _snowflake(first: int, turn: int) -> int:
    """The `turn`-th id after `first`: 4096 ids per millisecond."""
    return first + (turn // 4096 << 22) + turn % 4096
