"""What must happen although nobody asked: found by partial indexes, in steps, safe to run twice at once. SQL only."""

from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.db import connection, models, transaction
from structlog.stdlib import get_logger

from config.base import clock
from config.processes.shutdown import shutdown
from invoices import queues
from invoices.issuing.calls import limits_of
from invoices.issuing.decide.send import abandoned
from invoices.issuing.decide.steps import late
from invoices.issuing.record import tell
from invoices.lifecycle import Reason, State
from invoices.models import Invoice, InvoiceIssuance
from invoices.moving import Step, move
from invoices.opening import parking
from invoices.opening.conclude import converge, lock_order
from invoices.operations.amend import fall_back_to_consumer

log = get_logger(__name__)
STEP = 1000
LAST_CALL = timedelta(minutes=10)  # before the issue limit

DUE = """
SELECT own.number FROM unnest(%(partitions)s::smallint[]) AS own (number)
WHERE EXISTS (SELECT FROM invoices_invoice WHERE partition = own.number AND state = 'QUEUED' AND not_before <= %(now)s)
   OR EXISTS (SELECT FROM invoices_invoice
              WHERE partition = own.number AND state IN ('UNCERTAIN', 'SUBMITTED') AND not_before <= %(now)s)
"""


def sweep() -> None:
    ring_for_due()  # first: bells ring whatever becomes of the rest
    give_up_on_the_abandoned()
    give_refused_buyers_up()
    fail_the_late()
    revive_parked()


def give_up_on_the_abandoned() -> None:
    """SENDING past the longest possible call → UNCERTAIN: somebody may have been told, nobody knows."""
    for ids in _steps(Invoice.objects.filter(state=State.SENDING, not_before__lte=clock.now())):
        with transaction.atomic():
            issuances = {
                issuance.invoice_id: issuance
                for issuance in InvoiceIssuance.objects.filter(invoice__in=ids, outcome=InvoiceIssuance.Outcome.OPEN)
            }

            def decide(row: Invoice) -> Step | None:
                now = clock.now()
                if row.state != State.SENDING or row.not_before > now or row.pk not in issuances:  # noqa: B023
                    return None
                return abandoned(row, issuances[row.pk], now=now, limits=limits_of(row.provider))  # noqa: B023

            moved = [row for row, _ in move(ids, decide, actor="sweep").moved]
            InvoiceIssuance.objects.filter(pk__in=[row.exposed_by for row in moved], outcome="open").update(
                outcome=InvoiceIssuance.Outcome.ABANDONED
            )


def fail_the_late() -> None:
    """Unsent when its day was over: an operator decides, and its replay carries the day of the replay."""

    def decide(row: Invoice) -> Step | None:
        if row.state != State.QUEUED or row.issue_until > clock.now():
            return None
        return late("unsent when its issue limit had passed")

    for ids in _steps(Invoice.objects.filter(state=State.QUEUED, issue_until__lte=clock.now())):
        tell(move(ids, decide, actor="sweep"))


def give_refused_buyers_up() -> None:
    """Shortly before the issue limit a refused buyer that nobody mended gives way to the consumer."""
    limit = clock.now() + LAST_CALL
    refused = Invoice.objects.filter(state=State.FAILED, failure=Reason.REFUSED, failure_field__startswith="buyer.")
    for ids in _steps(refused.filter(issue_until__lte=limit, issue_until__gt=clock.now())):
        move(ids, fall_back_to_consumer, actor="sweep")


def revive_parked() -> None:
    """Payments whose merchant can issue by now. Merchants need not know that payments exist."""
    last = 0
    while not shutdown.is_set() and (found := parking.ready(after=last, limit=STEP)):
        for _, merchant_code, order_id in found:
            try:
                with transaction.atomic():
                    lock_order(merchant_code, order_id)
                    converge(merchant_code, order_id, actor="sweep")
            except Exception:  # one sale must not stop the others; it stays parked, and the alert calls somebody
                if not connection.is_usable():
                    raise
                log.exception("[parkedPaymentFailed]", merchant=merchant_code, order=order_id)
        last = found[-1][0]


def ring_for_due() -> None:
    """Bells get lost; rows do not."""
    with connection.cursor() as cursor:
        cursor.execute(DUE, {"partitions": list(range(settings.PARTITIONS)), "now": clock.now()})
        for (partition,) in cursor.fetchall():
            queues.ring(partition, regardless=True)


def _steps(found: "models.QuerySet[Invoice]") -> Iterable[list[int]]:
    last = 0
    while not shutdown.is_set() and (
        ids := list(found.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:STEP])
    ):
        yield ids
        last = ids[-1]
