"""Compare our invoices of one day with the providers' lists, account by account. Reads only."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from django.db import InterfaceError, OperationalError, connection
from django.db.models import Q
from structlog.stdlib import get_logger

from config.base import clock
from config.monitoring import counters
from config.processes.shutdown import shutdown
from invoices.counters import BOOKS_DIFFERED
from invoices.issuing import wire
from invoices.issuing.calls import build_account, limit_overrides
from invoices.lifecycle import NUMBERED
from invoices.models import Invoice, InvoiceIssuance
from invoices.providers import build_provider
from invoices.providers.base import Listed, ProviderError
from invoices.providers.http import Http
from merchants.models import ProviderAccount

log = get_logger(__name__)
KINDS = ("only_ours", "only_theirs", "total", "foreign", "unread")


@dataclass(frozen=True, slots=True)
class Difference:
    """`kind`: one of KINDS. "foreign" is a number under our symbol with a reference that we never made."""

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


def reconcile(
    day: date,
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    on_difference: Callable[[Difference], None] = lambda difference: None,
) -> Reconciliation:
    """Compare every account that could have issued on that day.

    Calls `on_progress(done, total)` after each account, and `on_difference` for each difference as it is found. An
    account that cannot be compared is a difference too, and does not stop the others.
    """
    accounts = list(_accounts(day))
    ours = theirs = 0
    differences: list[Difference] = []
    for done, account in enumerate(accounts, start=1):
        if stopped := shutdown.is_set():
            left = f"{len(accounts) - done + 1} accounts"
            found = [Difference("unread", left, f"interrupted by a restart; run manage.py reconcile --date {day}")]
        else:
            found, our_count, their_count = _compare_account(account, day)
            ours, theirs = ours + our_count, theirs + their_count
        for difference in found:
            on_difference(difference)
        differences += found
        if stopped:
            break
        on_progress(done, len(accounts))
    return Reconciliation(day, len(accounts), ours, theirs, differences)


def reconcile_yesterday() -> None:
    """Runs each night. Differences are logged as errors and counted for the alert."""
    day = clock.today_vn() - timedelta(days=1)

    def report(difference: Difference) -> None:
        log.error("[reconcile]", day=day, kind=difference.kind, account=difference.account, why=difference.what)
        counters.count({(BOOKS_DIFFERED, difference.kind): 1})

    result = reconcile(day, on_difference=report)
    log.info("[reconcile]", day=day, accounts=result.accounts, ours=result.ours, theirs=result.theirs)


def _accounts(day: date) -> Iterator[ProviderAccount]:
    """The accounts of the day's year, with those that were removed on that day or later."""
    accounts = ProviderAccount.objects.filter(Q(deleted_at=None) | Q(deleted_at__gte=clock.at_vn(day)))
    for account in accounts.select_related("merchant__tax_info").order_by("pk"):
        if account.year == day.year and account.encrypted_credentials:
            yield account


def _compare_account(account: ProviderAccount, day: date) -> tuple[list[Difference], int, int]:
    """The differences, and the numbers of our invoices and of the provider's."""
    ours: dict[str, Invoice] = {}
    try:
        ours = _our_invoices(account, day)
        tax_codes = {invoice.seller_tax_code for invoice in ours.values()} or {account.merchant.tax_info.tax_code}
        listed = [row for code in sorted(tax_codes) for row in _fetch_list(account, code, day)]
        theirs = {row.number: row for row in listed if row.symbol == account.symbol}
        return list(_compare(account, ours, theirs)), len(ours), len(theirs)
    except ProviderError as error:
        why = f"its list could not be read: {error}"
    except Exception as error:  # the other accounts are compared anyway
        log.exception("[reconcile]", day=day, account=f"{account}")
        if isinstance(error, OperationalError | InterfaceError):
            connection.close()
        why = f"it could not be compared: {type(error).__name__}"
    return [Difference("unread", f"{account}", why)], len(ours), 0


def _our_invoices(account: ProviderAccount, day: date) -> dict[str, Invoice]:
    """Our invoices of the day, by number."""
    of_the_day = Invoice.objects.filter(merchant=account.merchant_id, issue_date=day)  # uses the index by_issue_date
    fields = ("pk", "order_id", "number", "total", "state", "reference", "seller_tax_code")
    numbered = of_the_day.filter(account=account).exclude(number="").only(*fields)
    return {invoice.number: invoice for invoice in numbered.iterator()}


def _fetch_list(account: ProviderAccount, tax_code: str, day: date) -> list[Listed]:
    adapter_account = build_account(account, tax_code, account.form, account.symbol, account.template)

    async def fetch(http: Http) -> list[Listed]:
        return await build_provider(account.provider, adapter_account, http, **limit_overrides()).issued_on(day)

    return wire.http_loop.run(fetch)


def _compare(account: ProviderAccount, ours: dict[str, Invoice], theirs: dict[str, Listed]) -> Iterator[Difference]:
    name = f"{account}"
    for number, invoice in ours.items():
        listed = theirs.get(number)
        if listed is None:
            if invoice.state in NUMBERED:
                what = f"order {invoice.order_id} has number {number}, the provider has none"
                yield Difference("only_ours", name, what)
        elif listed.total != invoice.total:
            what = f"number {number}: {invoice.total} đồng here, {listed.total} at the provider"
            yield Difference("total", name, what)
    unknown = {number: row for number, row in theirs.items() if number not in ours}
    invoices = _invoices_by_reference({row.reference for row in unknown.values() if row.reference})
    for number, row in unknown.items():
        if known := invoices.get(row.reference):
            yield Difference("only_theirs", name, f"number {number} is order {known.order_id}, here {known.state}")
        else:
            yield Difference("foreign", name, f"number {number} ({row.total} đồng) was not issued by us")


def _invoices_by_reference(references: set[str]) -> dict[str, Invoice]:
    """By the references of attempts, or by the invoice's own if no attempt is recorded."""
    if not references:
        return {}
    attempts = InvoiceIssuance.objects.filter(reference__in=references).select_related("invoice")
    sent = {f"{attempt.reference}": attempt.invoice for attempt in attempts}
    unsent = Invoice.objects.filter(number="", reference__in=references - set(sent))
    return sent | {f"{invoice.reference}": invoice for invoice in unsent}
