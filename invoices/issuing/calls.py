"""What a worker holds of an invoice that it took: enough to call, nothing to save."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.conf import settings

from invoices.providers import PROVIDERS
from invoices.providers.base import Account, Found, Issued, Limits, ProviderError, Submitted
from merchants.models import ProviderAccount

MARGIN = timedelta(seconds=5)  # between the longest possible call and calling it abandoned


@dataclass(frozen=True, slots=True)
class Call:
    invoice_id: int
    issuance_id: int
    provider: str
    account: Account
    started_at: datetime
    reference: str
    document: str = ""  # a send carries one, a look-up does not
    start_by: float | None = None  # monotonic; a send's first byte leaves before it, or never
    on_trial: bool = False  # the one invoice that a parked account lets through

    @property
    def is_send(self) -> bool:
        return bool(self.document)


Answer = Issued | Submitted | Found | ProviderError | None  # None: a look-up's positive "not found"


@dataclass(frozen=True, slots=True)
class Answered:
    call: Call
    answer: Answer
    ended_at: datetime
    response: dict[str, object] | None = None  # redacted, for the issuance's row


@cache
def overrides() -> dict[str, Any]:
    """The Limits that the environment sets for every vendor."""
    wanted = {"settle": settings.PROVIDER_SETTLE, "total": settings.PROVIDER_TIMEOUT}
    return {name: value for name, value in wanted.items() if value}


@cache
def limits_of(provider: str) -> Limits:
    return replace(PROVIDERS[provider].limits, **overrides())


def longest_send(provider: str) -> timedelta:
    """From the take until no byte of its send can be on its way any more."""
    return timedelta(seconds=settings.START_WITHIN + limits_of(provider).total)


def account_of(account: ProviderAccount, tax_code: str, form: str, symbol: str, template: str) -> Account:
    """A lane as an adapter sees it, its login read live. Raises crypto.CannotOpen."""
    return Account(
        id=account.pk,
        base_url=account.base_url,
        tax_code=tax_code,
        form=form,
        symbol=symbol,
        template=template,
        credentials=account.credentials,
    )
