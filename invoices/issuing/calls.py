"""A call to a provider and its result, as plain data without models."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from django.conf import settings
from psycopg.types.json import Jsonb
from structlog.stdlib import get_logger

from config.base.crypto import DecryptionFailed
from invoices.providers import PROVIDERS
from invoices.providers.base import (
    Account,
    Found,
    Issued,
    Limits,
    ProviderError,
    Refused,
    Submitted,
    Unavailable,
    Uncertain,
)
from merchants.models import ProviderAccount

log = get_logger(__name__)
MARGIN = timedelta(seconds=5)  # after the longest possible call, before it counts as abandoned


@dataclass(frozen=True, slots=True)
class Call:
    invoice_id: int
    issuance_id: int
    provider: str
    account: Account
    started_at: datetime
    reference: str
    about: Mapping[str, Any]  # Invoice.about, for log lines
    attempt: int
    document: str = ""  # empty: a look-up
    start_by: float | None = None  # monotonic; a send whose first byte has not left by then is not sent
    on_trial: bool = False  # the trial invoice of a parked account

    @property
    def is_send(self) -> bool:
        return bool(self.document)

    @property
    def kind(self) -> str:
        return "send" if self.is_send else "look_up"

    @property
    def traceparent(self) -> str:
        """W3C: the trace of the invoice, with the attempt as the calling span."""
        trace = self.about.get("trace")
        return f"00-{trace}-{self.issuance_id:016x}-01" if trace else ""


OUTCOMES = (Issued, Submitted, Found, Refused, Unavailable, Uncertain)  # a vendor's subclass counts as one of these
SendAnswer = Issued | Submitted | ProviderError
LookupAnswer = Found | ProviderError | None  # None: a positive "not found"
Answer = SendAnswer | LookupAnswer


class AttemptRow(NamedTuple):
    """The columns of an attempt that the answer to a send sets."""

    id: int
    outcome: str
    scope: str
    code: str
    message: str
    symbol: str
    number: str
    ended_at: datetime
    response: Jsonb


@dataclass(frozen=True, slots=True)
class FinishedCall:
    call: Call
    answer: Answer
    ended_at: datetime
    response: dict[str, object] | None = None  # redacted, for the attempt's row
    seconds: float = 0.0  # the duration of the call

    @property
    def outcome(self) -> str:
        return next((kind.__name__.lower() for kind in OUTCOMES if isinstance(self.answer, kind)), "not_found")

    def row(self) -> AttemptRow:
        """Of a send."""
        answer = self.answer
        return AttemptRow(
            id=self.call.issuance_id,
            outcome=self.outcome,
            scope=answer.scope.value if isinstance(answer, Refused) else "",
            code=answer.code[:80] if isinstance(answer, ProviderError) else "",
            message=answer.message if isinstance(answer, ProviderError) else "",
            symbol=answer.symbol if isinstance(answer, Issued | Submitted) else "",
            number=answer.number if isinstance(answer, Issued | Submitted) else "",
            ended_at=self.ended_at,
            response=Jsonb(self.response),
        )


@cache
def limit_overrides() -> dict[str, Any]:
    """The Limits that the environment sets for every vendor."""
    wanted = {"settle": settings.PROVIDER_SETTLE, "total": settings.PROVIDER_TIMEOUT}
    return {name: value for name, value in wanted.items() if value}


@cache
def limits_of(provider: str) -> Limits:
    return replace(PROVIDERS[provider].limits, **limit_overrides())


def longest_send(provider: str) -> timedelta:
    """The longest time from the take until the last byte of the send."""
    return timedelta(seconds=settings.START_WITHIN + limits_of(provider).total)


def build_account(account: ProviderAccount, tax_code: str, form: str, symbol: str, template: str) -> Account:
    """An account as an adapter sees it, with today's credentials; without them `build_provider` refuses it."""
    try:
        credentials = account.credentials
    except DecryptionFailed as error:
        log.error("[loginDoesNotOpen]", account=account.pk, why=str(error))
        credentials = {}
    return Account(
        id=account.pk,
        base_url=account.base_url,
        tax_code=tax_code,
        form=form,
        symbol=symbol,
        template=template,
        credentials=credentials,
    )
