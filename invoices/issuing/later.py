"""What is asked of providers at leisure: last looks at what ended in doubt, and whether a parked login works again."""

import queue
from datetime import timedelta

from django.conf import settings
from django.db import connection
from structlog.stdlib import get_logger

from config.base import clock
from invoices.issuing.calls import Answered, account_of, overrides
from invoices.issuing.pump import stop
from invoices.issuing.record import record
from invoices.issuing.take import look_ups
from invoices.issuing.wire import wire
from invoices.models import InvoiceIssuance
from invoices.providers import build
from invoices.providers.base import ProviderError
from invoices.providers.http import Http
from merchants.models import ProviderAccount

log = get_logger(__name__)
BATCH = 100
LEASE = timedelta(minutes=10)

LAST_LOOKS = """
UPDATE invoices_invoice SET look_again_at = %(lease)s WHERE id IN (
    SELECT id FROM invoices_invoice WHERE look_again_at <= %(now)s AND state IN ('FAILED', 'CANCELLED')
    ORDER BY look_again_at LIMIT %(batch)s FOR NO KEY UPDATE SKIP LOCKED)
RETURNING id
"""


def last_looks() -> int:
    """Ask once more about what ended without a number although a send of it was in doubt. Returns how many."""
    now = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(LAST_LOOKS, {"now": now, "lease": now + LEASE, "batch": BATCH})
        ids = [row[0] for row in cursor.fetchall()]
    latest = InvoiceIssuance.objects.filter(invoice__in=ids).order_by("invoice_id", "-id").distinct("invoice_id")
    calls = look_ups(list(latest.values_list("pk", flat=True)), now)
    answers: queue.Queue[Answered] = queue.Queue()
    for call in calls:
        wire().start(call, answers)
    record([answers.get() for _ in calls])
    return len(calls)


def probe_parked() -> int:
    """Try the logins of accounts that were parked for theirs; returns how many are open again."""
    opened = 0
    now = clock.now()
    for row in ProviderAccount.objects.living().filter(parked_for_login=True, parked_until__lte=now, is_active=True):
        if stop.is_set():
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
        await build(row.provider, account, http, **overrides()).probe()

    try:
        wire().run(ask)
    except ProviderError as error:
        return str(error)
    return ""
