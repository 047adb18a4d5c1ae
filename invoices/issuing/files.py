"""Fetch the PDF and XML of issued invoices, apart from issuing: a slow file never looks like a failed issue."""

import asyncio
import hashlib
from datetime import timedelta
from functools import partial
from xml.etree import ElementTree

from django.core.files.base import ContentFile
from django.db import connection, transaction
from structlog.stdlib import get_logger

from config.base import clock
from config.processes.shutdown import shutdown
from invoices.issuing import mail, wire
from invoices.issuing.calls import build_account, limit_overrides
from invoices.issuing.decide.conflicts import fail_as_conflict
from invoices.issuing.decide.retries import lookup_delay
from invoices.issuing.documents import parse_document
from invoices.issuing.logs import log_failures
from invoices.models import Invoice, InvoiceFile
from invoices.moving import move
from invoices.providers import build_provider
from invoices.providers.base import Files, Found, ProviderError
from invoices.providers.http import Http

log = get_logger(__name__)
BATCH = 50
AT_ONCE = 8  # calls in flight
LEASE = timedelta(minutes=5)
QUICK_ATTEMPTS = 5  # files are seldom ready in the first second

# The lease moves `files_due` on, so that no two workers fetch the same file at once.
TAKE = """
UPDATE invoices_invoice SET files_due = %(lease)s, files_attempts = files_attempts + 1 WHERE id IN (
    SELECT id FROM invoices_invoice WHERE files_due <= %(now)s
    ORDER BY files_due LIMIT %(batch)s FOR NO KEY UPDATE SKIP LOCKED)
RETURNING id
"""


def fetch_files() -> int:
    """Fetch the files that are due. Returns how many invoices got theirs."""
    fetched = 0
    while not shutdown.is_set() and (ids := _take()):
        invoices = list(Invoice.objects.select_related("account").filter(pk__in=ids))
        results = wire.http_loop.run(partial(_fetch_all, invoices=invoices))
        fetched += sum(_store_result(invoice, result) for invoice, result in zip(invoices, results, strict=True))
    return fetched


def _store_result(invoice: Invoice, result: Files | ProviderError) -> bool:
    """Whether the invoice has its files now."""
    if isinstance(result, ProviderError):
        _fetch_later(invoice, result)
        return False
    if difference := xml_difference(invoice, result.xml):
        _record_conflict(invoice, difference)
        return False
    _store_files(invoice, result)
    return True


def _take() -> list[int]:
    now = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(TAKE, {"now": now, "lease": now + LEASE, "batch": BATCH})
        return [row[0] for row in cursor.fetchall()]


async def _fetch_all(http: Http, invoices: list[Invoice]) -> list[Files | ProviderError]:
    slots = asyncio.Semaphore(AT_ONCE)

    async def fetch(invoice: Invoice) -> Files | ProviderError:
        template = invoice.config_snapshot["account"]["template"]
        assert invoice.account
        account = build_account(invoice.account, invoice.seller_tax_code, invoice.form, invoice.symbol, template)
        found = Found(number=invoice.number, symbol=invoice.symbol, code=invoice.code, issued_on=invoice.issue_date)
        async with slots:
            try:
                return await build_provider(invoice.provider, account, http, **limit_overrides()).files(found)
            except ProviderError as error:
                return error

    return await asyncio.gather(*(fetch(invoice) for invoice in invoices))


def xml_difference(invoice: Invoice, xml: bytes) -> str:
    """The first field of the provider's XML that is not ours, or "". Most look-ups report no total: the XML does."""
    try:
        root = ElementTree.fromstring(xml)  # noqa: S314  (expat resolves nothing external and bounds expansion)
    except ElementTree.ParseError:
        return "unreadable XML"
    document = parse_document(invoice.document)
    printed = {
        "number": (_text(root, ".//{*}TTChung/{*}SHDon").lstrip("0"), invoice.number.lstrip("0")),
        "total": (_text(root, ".//{*}TToan/{*}TgTTTBSo").partition(".")[0], str(document.total)),
        "seller tax code": (_text(root, ".//{*}NBan/{*}MST"), document.seller.tax_code),
        "buyer tax code": (_text(root, ".//{*}NMua/{*}MST"), document.buyer.tax_code),
    }
    return next((name for name, (theirs, ours) in printed.items() if theirs and theirs != ours), "")


def _text(root: ElementTree.Element, path: str) -> str:
    found = root.find(path)
    return (found.text or "").strip() if found is not None else ""


def _record_conflict(invoice: Invoice, difference: str) -> None:
    """The issued invoice is not the one that we sent: it is not mailed, and an operator sees it."""
    why = f"the provider's XML does not match our document: {difference}"
    with transaction.atomic():
        log_failures(move([invoice.pk], lambda row: fail_as_conflict(row, why), actor="worker"))
        Invoice.objects.filter(pk=invoice.pk).update(files_due=None)


def _store_files(invoice: Invoice, files: Files) -> None:
    """Store both with their hashes, then mail them to a buyer who left an address."""
    with transaction.atomic():
        for kind, content in (("pdf", files.pdf), ("xml", files.xml)):
            if not InvoiceFile.objects.filter(invoice=invoice, kind=kind).exists():
                file = InvoiceFile(
                    invoice=invoice, kind=kind, sha256=hashlib.sha256(content).hexdigest(), size=len(content)
                )
                file.file.save(f"{invoice.pk}.{kind}", ContentFile(content), save=False)
                file.save()
    mail.send_invoice(invoice, files)
    Invoice.objects.filter(pk=invoice.pk).update(files_due=None)
    log.info("[filesStored]", attempt=invoice.files_attempts, **invoice.about)


def _fetch_later(invoice: Invoice, error: ProviderError) -> None:
    slow_attempts = invoice.files_attempts - QUICK_ATTEMPTS
    delay = lookup_delay(slow_attempts) if slow_attempts > 0 else timedelta(seconds=5)
    log.warning("[filesNotReady]", attempt=invoice.files_attempts, code=error.code, **invoice.about)
    Invoice.objects.filter(pk=invoice.pk).update(files_due=clock.now() + delay)
