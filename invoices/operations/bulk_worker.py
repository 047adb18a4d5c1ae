"""The background work of bulk runs: dry-run each item, then, once the run is confirmed, perform it.

Each item is a transaction of its own, so no lock outlives one invoice and nothing waits for a run. An interrupted run
continues with the items that have no outcome.
"""

import time

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import QuerySet

from config.base import clock
from config.processes.shutdown import shutdown
from invoices.models import BulkItem, BulkRun, Invoice
from invoices.operations.bulk import REJECTIONS, VERBS, attempt_to_look_up, generalize
from invoices.operations.look_up import LookupResult, look_up_attempts, record_lookups
from invoices.providers.base import Found

log = structlog.get_logger(__name__)
DRY_RUNS_PER_STEP = 200
ITEMS_PER_STEP = 50  # after these another run may continue
LOOKUPS_AT_ONCE = 10
TURN_SECONDS = 5.0  # after these other background tasks may run


def advance_runs() -> int:
    """Work on the active runs for one turn, the longest waiting run first. Returns the number of items processed."""
    until, processed = time.monotonic() + TURN_SECONDS, 0
    active = BulkRun.objects.filter(state__in=[BulkRun.State.PREVIEWING, BulkRun.State.RUNNING])
    while not shutdown.is_set() and time.monotonic() < until and (run := active.order_by("updated_at").first()):
        try:
            processed += _preview_some(run) if run.state == BulkRun.State.PREVIEWING else _perform_some(run)
        finally:  # a run that raises moves to the end of the queue too
            BulkRun.objects.filter(pk=run.pk).update(updated_at=clock.now())
    return processed


def _preview_some(run: BulkRun) -> int:
    items = list(run.items.filter(would_act=None).order_by("pk").values_list("pk", "invoice_id")[:DRY_RUNS_PER_STEP])
    if not items:
        BulkRun.objects.filter(pk=run.pk, state=BulkRun.State.PREVIEWING).update(state=BulkRun.State.READY)
        return 0
    invoices = _with_accounts().in_bulk([invoice for _, invoice in items])
    previews = [(pk, *_preview(run, invoices[invoice])) for pk, invoice in items]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE invoices_bulkitem AS item SET would_act = new.would_act, reason = new.reason "
            "FROM unnest(%s::bigint[], %s::bool[], %s::text[]) AS new(id, would_act, reason) WHERE item.id = new.id",
            list(map(list, zip(*previews, strict=True))),
        )
    return len(items)


def _preview(run: BulkRun, invoice: Invoice) -> tuple[bool, str]:
    """Whether the verb would act on the invoice, and the reason."""
    try:
        return True, VERBS[run.verb].perform(invoice, actor=run.actor, reason="", dry_run=True)[:200]
    except REJECTIONS as error:
        return False, generalize(str(error), invoice)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:  # one invoice must not stop the others
        log.exception("[bulkItemFailed]", invoice=invoice.pk)
        return False, type(error).__name__


def _perform_some(run: BulkRun) -> int:
    to_do = run.items.filter(would_act=True, outcome="", run__state=BulkRun.State.RUNNING)
    if run.verb == "look_up":
        done = _look_up_some(run, to_do)
    else:
        items = to_do.order_by("pk").values_list("pk", "invoice_id")[:ITEMS_PER_STEP]
        done = sum(_perform_item(run, to_do, *ids) for ids in items if not shutdown.is_set())
    if not done and not run.items.filter(would_act=True, outcome="").exists():
        now, running = clock.now(), BulkRun.State.RUNNING
        BulkRun.objects.filter(pk=run.pk, state=running).update(state=BulkRun.State.DONE, ended_at=now)
    return done


def _perform_item(run: BulkRun, to_do: QuerySet[BulkItem], pk: int, invoice_id: int) -> bool:
    """Perform and store the outcome in one transaction. False if another worker has it, or the run was aborted."""
    try:
        with transaction.atomic():
            item = to_do.filter(pk=pk).select_for_update(no_key=True, skip_locked=True, of=("self",)).first()
            if item is None:
                return False
            outcome, reason = _perform(run, _with_accounts().get(pk=invoice_id))
            BulkItem.objects.filter(pk=pk).update(outcome=outcome, reason=reason)
    except (OperationalError, InterfaceError):
        raise  # the database connection is lost: the item is retried
    except Exception as error:  # one invoice must not stop the others
        log.exception("[bulkItemFailed]", invoice=invoice_id)
        BulkItem.objects.filter(pk=pk, outcome="").update(outcome=BulkItem.Outcome.FAILED, reason=type(error).__name__)
    return True


def _perform(run: BulkRun, invoice: Invoice) -> tuple[str, str]:
    """The outcome and its reason. A verb that raises a rejection has rolled back its changes."""
    try:
        message = VERBS[run.verb].perform(invoice, actor=run.actor, reason=_reason(run), dry_run=False)
        return BulkItem.Outcome.ACTED, message[:200]
    except REJECTIONS as error:
        return BulkItem.Outcome.DECLINED, generalize(str(error), invoice)


def _look_up_some(run: BulkRun, to_do: QuerySet[BulkItem]) -> int:
    """Make several look-ups at once outside a transaction, then record their answers and outcomes in one."""
    items = {item.invoice_id: item for item in to_do[:LOOKUPS_AT_ONCE]}
    attempts, declined = [], []
    for invoice in _with_accounts().filter(pk__in=items):
        try:
            attempts.append(attempt_to_look_up(invoice))
        except REJECTIONS as error:
            declined.append((items[invoice.pk], generalize(str(error), invoice)))
    lookups = look_up_attempts(attempts)
    with transaction.atomic():
        mine = to_do.filter(pk__in=[item.pk for item in items.values()])
        open_ = {item.pk for item in mine.select_for_update(no_key=True, of=("self",))}
        ours = [lookup for lookup in lookups if items[lookup.call.invoice_id].pk in open_]
        for result in record_lookups(ours, actor=run.actor, reason=_reason(run)):
            item = items[result.invoice.pk]
            item.outcome, item.reason = BulkItem.Outcome.ACTED, _describe(result)
        for item, reason in declined:
            item.outcome, item.reason = BulkItem.Outcome.DECLINED, reason
        BulkItem.objects.bulk_update([i for i in items.values() if i.outcome and i.pk in open_], ["outcome", "reason"])
    return len(items)


def _describe(result: LookupResult) -> str:
    """Without numbers, which would make every reason different; the invoice's page shows them."""
    if isinstance(result.answer, Found):
        return f"the provider has it: {result.invoice.state}"
    return f"the look-up failed: {type(result.answer).__name__}" if result.answer else "the provider does not know it"


def _reason(run: BulkRun) -> str:
    return f"{run.reason} (bulk {run.pk})"


def _with_accounts() -> QuerySet[Invoice]:
    return Invoice.objects.select_related("merchant__tax_info", "account__merchant")
