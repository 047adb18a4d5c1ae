"""Rows, attempts and answers for the decision tables, and how a table is checked. Nothing here is saved."""

import copy
import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

import pytest

from invoices.audit import canonical_json
from invoices.lifecycle import State
from invoices.models import Invoice, InvoiceIssuance
from invoices.moving import Step, move_one
from invoices.providers.base import Limits
from tests.invoices.providers.wire import document

NOW = datetime(2026, 9, 15, 3, tzinfo=UTC)  # 10:00 in Việt Nam
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
INSTANT = timedelta(microseconds=1)
THIS, OTHER = 101, 202  # the attempt that the answer belongs to, and another one of the same invoice
TAKEN = {THIS: NOW - 40 * SECOND, OTHER: NOW - timedelta(hours=2)}
TOTAL = 110_000
DOCUMENT = document(issue_date=NOW.date())
LIMITS = Limits(
    in_flight=4, lookups_in_flight=4, settle=60, key_unique_for=timedelta(hours=66), connect=10, total=90
)  # fmt: skip

UNSENT = (State.WAITING, State.QUEUED, State.CANCELLED, State.EXPIRED)  # no provider knows them
WATCHED = (
    "state", "failure", "failure_code", "failure_field", "failure_message", "exposed_at", "exposed_by",
    "first_uncertain_at", "final_lookup_at", "attempts", "lookups", "not_before", "symbol", "number", "code",
    "lookup_code", "lookup_url", "issued_at", "files_due", "files_attempts", "correction_owed", "buyer", "buyer_source",
    "claimed_at", "refunded_amount", "refunded_at", "document", "issue_date", "issue_until",
)  # fmt: skip

REFUNDS = {  # refunded đồng, and how many of them the lines leave out already
    "none": (0, 0),
    "part": (40_000, 0),
    "full": (TOTAL, 0),
    "part, amended": (40_000, 40_000),
    "the rest after an amendment": (TOTAL, 40_000),
}

_template = Invoice(
    pk=1, order_id="order-1", partition=0, paid_at=NOW - timedelta(minutes=5), sold={"total": TOTAL}, total=TOTAL,
    bill={}, document=canonical_json(dataclasses.asdict(DOCUMENT)), document_sha256="ab", provider="viettel", form="1",
    symbol="C26TAA", issue_date=NOW.date(), issue_until=NOW + timedelta(hours=14), lookups=2, files_attempts=1,
    config_snapshot={"merchant": {"code": "m"}, "policy": {}}, not_before=NOW + timedelta(days=9),
)  # fmt: skip


def row(state: State, *, exposed_by: int | None = None, number: str = "", **fields: Any) -> Invoice:
    """An invoice as its lock found it."""
    invoice = copy.copy(_template)
    invoice.state, invoice.number = state, number
    if exposed_by:
        invoice.exposed_at, invoice.exposed_by = TAKEN[exposed_by], exposed_by
    for name, value in fields.items():
        setattr(invoice, name, value)
    return invoice


def refunded(kind: str) -> dict[str, int]:
    amount, settled = REFUNDS[kind]
    return {"refunded_amount": amount, "settled_refund": settled}


def attempt(pk: int = THIS, **fields: Any) -> InvoiceIssuance:
    taken = TAKEN[pk]
    return InvoiceIssuance(
        **{"pk": pk, "invoice_id": 1, "account_id": 1, "attempt": 1, "taken_at": taken, "last_byte_by": taken} | fields
    )


class Between:
    """Equal to every value from `low` to `high`, in a table of expected values."""

    def __init__(self, low: Any, high: Any) -> None:
        self.low, self.high = low, high

    def __eq__(self, other: object) -> bool:
        return other is not None and self.low <= other <= self.high

    def __repr__(self) -> str:
        return f"{self.low} … {self.high}"


def in_seconds(seconds: float) -> Between:
    """That many seconds from now, with a jitter of a tenth."""
    return Between(NOW + 0.9 * seconds * SECOND, NOW + 1.1 * seconds * SECOND)


class Some:
    """Equal to every value of a kind."""

    def __init__(self, kind: Callable[[Any], bool], name: str) -> None:
        self.kind, self.name = kind, name

    def __eq__(self, other: object) -> bool:
        return self.kind(other)

    def __repr__(self) -> str:
        return self.name


TEXT = Some(lambda value: isinstance(value, str) and value != "", "some text")
ANYTHING = Some(lambda value: True, "anything")
SET = Some(lambda value: value is not None, "a value")
IN_DOUBT = {  # however it is looked up
    "state": State.UNCERTAIN, "exposed_at": SET, "exposed_by": SET, "first_uncertain_at": ANYTHING,
    "final_lookup_at": ANYTHING, "attempts": ANYTHING, "lookups": ANYTHING, "not_before": ANYTHING, "audit": ANYTHING,
}  # fmt: skip


def failed(reason: str, code: Any = "", field: str = "", message: Any = TEXT) -> dict[str, Any]:
    return {
        "state": State.FAILED, "failure": reason, "failure_code": code, "failure_field": field,
        "failure_message": message,
    }  # fmt: skip


NOTHING: dict[str, Any] = {"audit": None}  # no step at all
UNEXPOSED: dict[str, Any] = {"exposed_at": None, "exposed_by": None}
C = TypeVar("C")


@dataclass(frozen=True)
class Rule(Generic[C]):
    """`outcome`: the fields that change, and `audit`: the event and its outcome (None: the row is left alone)."""

    sentence: str
    applies: Callable[[C], bool]
    outcome: Callable[[C], dict[str, Any]]


def as_params(rules: Iterable[Rule[Any]]) -> list[Any]:
    return [pytest.param(rule, id=rule.sentence.replace(" ", "-")) for rule in rules]


def values(invoice: Invoice) -> dict[str, Any]:
    return {name: getattr(invoice, name) for name in WATCHED}


def check(case: Any, before: Invoice, step: Step | None, expected: dict[str, Any]) -> None:
    """The step does to the row what is expected and nothing else, and the row may take it."""
    after = move_one(before, lambda _: step, actor="test", dry_run=True)
    wanted = {"audit": ("", ""), **values(before), **expected}
    got = {"audit": (step.event.value, step.outcome.value) if step else None, **values(after)}
    wrong = {name: f"{got[name]!r}, not {value!r}" for name, value in wanted.items() if value != got[name]}
    assert not wrong, f"{case}\n" + "\n".join(f"  {name}: {what}" for name, what in wrong.items())


def check_rule(rule: Rule[C], cases: Iterable[C], decide: Callable[[C], tuple[Invoice, Step | None]]) -> None:
    """`decide` returns the row before and its step."""
    count = 0
    for case in cases:
        if rule.applies(case):
            before, step = decide(case)
            check(case, before, step, rule.outcome(case))
            count += 1
    assert count, "no case falls under this rule"


def check_each_has_one_rule(rules: Iterable[Rule[C]], cases: Iterable[C]) -> None:
    rules = list(rules)
    for case in cases:
        found = [rule.sentence for rule in rules if rule.applies(case)]
        assert len(found) == 1, f"{case}: {found or 'no rule'}"
