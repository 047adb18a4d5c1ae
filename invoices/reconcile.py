"""Our books against the providers' for one day, account by account. Reads only; what differs is for people to mend."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from structlog.stdlib import get_logger

from config import clock
from invoices.issuing import stop
from invoices.issuing.calls import account_of, overrides
from invoices.issuing.wire import wire
from invoices.lifecycle import NUMBERED
from invoices.models import Invoice
from invoices.providers import build
from invoices.providers.base import Listed, ProviderError
from invoices.providers.http import Http
from merchants.models import ProviderAccount

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Difference:
    """`kind`: only_ours, only_theirs, total, foreign (a number in our symbol whose reference we never made), unread."""

    kind: str
    account: str
    what: str


@dataclass(frozen=True, slots=True)
class Reconciliation:
    day: date
    accounts: int
    ours: int
    theirs: int
    differences: list[Difference]

    @property
    def agrees(self) -> bool:
        return not self.differences


def reconcile(day: date, *, told: Callable[[int, int], None] = lambda done, total: None) -> Reconciliation:
    """Compare every account that could have issued on that day; `told(done, total)` after each."""
    accounts = list(_accounts(day))
    ours = theirs = 0
    differences: list[Difference] = []
    for done, account in enumerate(accounts, start=1):
        if stop.is_set():
            left = f"{len(accounts) - done + 1} accounts"
            differences.append(Difference("unread", left, f"a restart came first: manage.py reconcile --date {day}"))
            break
        mine = _ours(account, day)
        ours += len(mine)
        try:
            listed = [row for row in _theirs(account, day) if row.symbol == account.symbol]
        except ProviderError as error:
            differences.append(Difference("unread", str(account), f"its list could not be read: {error}"))
        else:
            theirs += len(listed)
            differences += _compare(str(account), mine, {row.number: row for row in listed})
        told(done, len(accounts))
    return Reconciliation(day, len(accounts), ours, theirs, differences)


def reconcile_yesterday() -> None:
    """Each night: what differs is an alarm in the log."""
    result = reconcile(clock.today_vn() - timedelta(days=1))
    for difference in result.differences:
        log.error("[reconcile]", day=result.day, kind=difference.kind, account=difference.account, why=difference.what)
    log.info("[reconcile]", day=result.day, accounts=result.accounts, ours=result.ours, theirs=result.theirs)


def _accounts(day: date) -> Iterator[ProviderAccount]:
    for account in ProviderAccount.objects.living().select_related("merchant__tax_info").order_by("pk"):
        if account.year == day.year and account.sealed_credentials:
            yield account


def _ours(account: ProviderAccount, day: date) -> dict[str, Invoice]:
    numbered = Invoice.objects.filter(account=account, issue_date=day).exclude(number="")
    fields = ("pk", "order_id", "number", "total", "state", "reference")
    return {invoice.number: invoice for invoice in numbered.only(*fields).iterator()}


def _theirs(account: ProviderAccount, day: date) -> list[Listed]:
    seen = account_of(account, account.merchant.tax_info.tax_code, account.form, account.symbol, account.template)

    async def ask(http: Http) -> list[Listed]:
        return await build(account.provider, seen, http, **overrides()).issued_on(day)

    return wire().run(ask)


def _compare(account: str, ours: dict[str, Invoice], theirs: dict[str, Listed]) -> Iterator[Difference]:
    for number, invoice in ours.items():
        listed = theirs.get(number)
        if listed is None:
            if invoice.state in NUMBERED:
                yield Difference("only_ours", account, f"order {invoice.order_id} has number {number}, they have none")
        elif listed.total != invoice.total:
            yield Difference("total", account, f"number {number}: {invoice.total} đồng here, {listed.total} there")
    unknown = {number: row for number, row in theirs.items() if number not in ours}
    references = [row.reference for row in unknown.values() if row.reference]
    made = {
        str(i.reference): i
        for i in Invoice.objects.filter(reference__in=references).only("order_id", "reference", "state")
    }
    for number, row in unknown.items():
        if known := made.get(row.reference):
            yield Difference("only_theirs", account, f"number {number} is order {known.order_id}, here {known.state}")
        else:
            yield Difference("foreign", account, f"number {number} ({row.total} đồng) is not of our making")
