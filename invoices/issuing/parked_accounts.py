"""Accounts that the provider refuses: when they close, and how they open again."""

from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from structlog.stdlib import get_logger

from config.base import clock
from config.processes.shutdown import shutdown
from invoices.issuing import wire
from invoices.issuing.calls import FinishedCall, account_of, overrides
from invoices.providers import build_provider
from invoices.providers.base import Issued, ProviderError, Refused, Scope, Submitted
from invoices.providers.http import Http
from merchants.models import ProviderAccount

log = get_logger(__name__)


def update_parking(answered: Iterable[FinishedCall]) -> None:
    """Close the lanes that the provider refuses, open those whose trial invoice went well."""
    well = [a.call.account.id for a in answered if a.call.on_trial and isinstance(a.answer, Issued | Submitted)]
    if well:
        ProviderAccount.objects.filter(pk__in=sorted(well)).update(
            parked_until=None, parked_reason="", parked_for_login=False
        )
    refused = {
        a.call.account.id: a.answer
        for a in answered
        if isinstance(a.answer, Refused) and a.answer.scope == Scope.ACCOUNT
    }
    for account_id, answer in sorted(refused.items()):
        log.error("[accountParked]", account=account_id, code=answer.code, login=answer.login)
        ProviderAccount.objects.filter(pk=account_id).update(
            parked_until=clock.now() + timedelta(seconds=settings.PARK_SECONDS),
            parked_reason=f"{answer.code}: {answer.message}"[:200],
            parked_for_login=answer.login,
        )


def probe_parked() -> int:
    """Try the logins of accounts that were parked for theirs; returns how many are open again."""
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
    """Probe, and open or keep shut an account that is parked for its login. Returns what is wrong, or ""."""
    if problem := probe(row):
        until = clock.now() + timedelta(seconds=settings.PARK_SECONDS)
        parked = {"parked_until": until, "parked_reason": problem[:200]}
    else:
        parked = {"parked_until": None, "parked_reason": "", "parked_for_login": False}
    if ProviderAccount.objects.filter(pk=row.pk, parked_for_login=True).update(**parked) and not problem:
        log.info("[accountReopened]", account=row.pk)
    return problem


def probe(row: ProviderAccount) -> str:
    """A read-only test of an account's login and symbol: what is wrong, or "" where nothing is."""
    tax_code = row.merchant.tax_info.tax_code
    account = account_of(row, tax_code, row.form, row.symbol, row.template)

    async def ask(http: Http) -> None:
        await build_provider(row.provider, account, http, **overrides()).probe()

    try:
        wire.http_loop.run(ask)
    except ProviderError as error:
        return str(error)
    return ""
