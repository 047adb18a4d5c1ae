"""Park accounts that the provider refuses, and open them again."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.conf import settings
from structlog.stdlib import get_logger

from config.base import clock
from config.processes.shutdown import shutdown
from invoices.issuing import wire
from invoices.issuing.calls import FinishedCall, build_account, limit_overrides
from invoices.providers import build_provider
from invoices.providers.base import Issued, ProviderError, Refused, Scope, Submitted
from invoices.providers.http import Http
from merchants.models import ProviderAccount

log = get_logger(__name__)
OPEN = {"parked_until": None, "parked_reason": "", "parked_for_login": False}


def update_parking(sends: Iterable[FinishedCall]) -> None:
    """Park the accounts that the provider refused, and open those whose trial invoice was issued."""
    passed = [one.call.account.id for one in sends if one.call.on_trial and isinstance(one.answer, Issued | Submitted)]
    if passed:
        ProviderAccount.objects.filter(pk__in=sorted(passed)).update(**OPEN)
    refused = {
        one.call.account.id: one.answer
        for one in sends
        if isinstance(one.answer, Refused) and one.answer.scope == Scope.ACCOUNT
    }
    for account_id, answer in sorted(refused.items()):
        log.error("[accountParked]", account=account_id, code=answer.code, login=answer.login)
        ProviderAccount.objects.filter(pk=account_id).update(
            parked_until=clock.now() + timedelta(seconds=settings.PARK_SECONDS),
            parked_reason=f"{answer.code}: {answer.message}"[:200],
            parked_for_login=answer.login,
        )


def probe_parked() -> int:
    """Probe the accounts that were parked for their logins. Returns how many are open again."""
    opened = 0
    now = clock.now()
    for row in ProviderAccount.objects.not_deleted().filter(
        parked_for_login=True, parked_until__lte=now, is_active=True
    ):
        if shutdown.is_set():
            break
        opened += not probe_now(row)
    return opened


def probe_now(row: ProviderAccount) -> str:
    """Probe an account; if it is parked for its login, open it or extend the parking. Returns the problem, or ""."""
    if problem := probe(row):
        until = clock.now() + timedelta(seconds=settings.PARK_SECONDS)
        parked: dict[str, Any] = {"parked_until": until, "parked_reason": problem[:200]}
    else:
        parked = OPEN
    if ProviderAccount.objects.filter(pk=row.pk, parked_for_login=True).update(**parked) and not problem:
        log.info("[accountReopened]", account=row.pk)
    return problem


def probe(row: ProviderAccount) -> str:
    """Test an account's login and symbol, without side effects. Returns the problem, or ""."""
    tax_code = row.merchant.tax_info.tax_code
    account = build_account(row, tax_code, row.form, row.symbol, row.template)

    async def run_probe(http: Http) -> None:
        await build_provider(row.provider, account, http, **limit_overrides()).probe()

    try:
        wire.http_loop.run(run_probe)
    except ProviderError as error:
        return str(error)
    return ""
