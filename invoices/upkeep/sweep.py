"""Periodic work on overdue rows. They are found by partial indexes and moved in batches; no calls to providers.

Two sweeps may run at once.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import partial

from django.conf import settings
from django.db import connection, models, transaction
from structlog.stdlib import get_logger

from config.base import clock
from config.processes.shutdown import shutdown
from invoices import queues
from invoices.issuing.calls import limits_of
from invoices.issuing.decide.send import after_abandonment
from invoices.issuing.decide.steps import fail_as_late
from invoices.issuing.logs import log_failures
from invoices.lifecycle import Reason, State
from invoices.models import Invoice, InvoiceIssuance
from invoices.moving import Step, move
from invoices.opening import parking
from invoices.opening.conclude import conclude, lock_order
from invoices.operations.amend import fall_back_to_consumer

log = get_logger(__name__)
Outcome = InvoiceIssuance.Outcome
BATCH = 1000  # rows in one transaction
FALLBACK_BEFORE = timedelta(minutes=10)  # how long before the issue limit the consumer replaces a refused buyer

DUE = """
SELECT own.number FROM unnest(%(partitions)s::smallint[]) AS own (number)
WHERE EXISTS (SELECT FROM invoices_invoice WHERE partition = own.number AND state = 'QUEUED' AND not_before <= %(now)s)
   OR EXISTS (SELECT FROM invoices_invoice
              WHERE partition = own.number AND state IN ('UNCERTAIN', 'SUBMITTED') AND not_before <= %(now)s)
"""


def sweep() -> None:
    wake_due_partitions()  # first, so that an error below cannot stop the wake-ups
    mark_abandoned()
    fall_back_to_consumers()
    fail_late()
    open_parked_payments()


def mark_abandoned() -> None:
    """SENDING past the longest possible call → UNCERTAIN: the provider may have it."""
    for ids in _batches(Invoice.objects.filter(state=State.SENDING, not_before__lte=clock.now())):
        with transaction.atomic():
            open_attempts = InvoiceIssuance.objects.filter(invoice__in=ids, outcome=Outcome.OPEN)
            attempts = {attempt.invoice_id: attempt for attempt in open_attempts}
            moved = [row for row, _ in move(ids, partial(_abandon, attempts=attempts), actor="sweep").moved]
            InvoiceIssuance.objects.filter(pk__in=[row.exposed_by for row in moved], outcome=Outcome.OPEN).update(
                outcome=Outcome.ABANDONED
            )


def _abandon(row: Invoice, *, attempts: Mapping[int, InvoiceIssuance]) -> Step | None:
    now = clock.now()
    if row.state != State.SENDING or row.not_before > now or row.pk not in attempts:
        return None
    return after_abandonment(row, attempts[row.pk], now=now, limits=limits_of(row.provider))


def fail_late() -> None:
    """QUEUED past the issue limit → FAILED(late): an operator decides; a replay is dated the day of the replay."""
    for ids in _batches(Invoice.objects.filter(state=State.QUEUED, issue_until__lte=clock.now())):
        log_failures(move(ids, _late_step, actor="sweep"))


def _late_step(row: Invoice) -> Step | None:
    if row.state != State.QUEUED or row.issue_until > clock.now():
        return None
    return fail_as_late("unsent when its issue limit had passed")


def fall_back_to_consumers() -> None:
    """Shortly before the issue limit, invoices whose refused buyer was not corrected are issued to the consumer."""
    limit = clock.now() + FALLBACK_BEFORE
    refused = Invoice.objects.filter(state=State.FAILED, failure=Reason.REFUSED, failure_field__startswith="buyer.")
    for ids in _batches(refused.filter(issue_until__lte=limit, issue_until__gt=clock.now())):
        move(ids, fall_back_to_consumer, actor="sweep")


def open_parked_payments() -> None:
    """Open the invoices of parked payments whose merchant can issue now."""
    last = 0
    while not shutdown.is_set() and (payments := parking.find_ready(after=last, limit=BATCH)):
        for _, merchant_code, order_id in payments:
            try:
                with transaction.atomic():
                    lock_order(merchant_code, order_id)
                    conclude(merchant_code, order_id, actor="sweep")
            except Exception:  # one sale must not stop the others; it stays parked and raises an alert
                if not connection.is_usable():
                    raise
                log.exception("[parkedPaymentFailed]", merchant=merchant_code, order=order_id)
        last = payments[-1][0]


def wake_due_partitions() -> None:
    """Wake the workers of partitions with due rows: a wake-up may have been lost."""
    with connection.cursor() as cursor:
        cursor.execute(DUE, {"partitions": list(range(settings.PARTITIONS)), "now": clock.now()})
        for (partition,) in cursor.fetchall():
            queues.wake(partition, force=True)


def _batches(rows: "models.QuerySet[Invoice]") -> Iterable[list[int]]:
    """The ids of the rows, BATCH at a time, until shutdown."""
    last = 0
    while not shutdown.is_set() and (
        ids := list(rows.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:BATCH])
    ):
        yield ids
        last = ids[-1]
