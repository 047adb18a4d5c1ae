"""The final look-up, a day later, of invoices that ended without a number after an uncertain send."""

import queue
from datetime import timedelta

from django.db import connection

from config.base import clock
from invoices.issuing import wire
from invoices.issuing.calls import FinishedCall
from invoices.issuing.lookups import build_lookups
from invoices.issuing.record import record
from invoices.models import InvoiceIssuance

BATCH = 100
LEASE = timedelta(minutes=10)

TAKE = """
UPDATE invoices_invoice SET final_lookup_at = %(lease)s WHERE id IN (
    SELECT id FROM invoices_invoice WHERE final_lookup_at <= %(now)s AND state IN ('FAILED', 'CANCELLED')
    ORDER BY final_lookup_at LIMIT %(batch)s FOR NO KEY UPDATE SKIP LOCKED)
RETURNING id
"""


def run_final_lookups() -> int:
    """Make the final look-ups that are due. Returns how many."""
    now = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(TAKE, {"now": now, "lease": now + LEASE, "batch": BATCH})
        ids = [row[0] for row in cursor.fetchall()]
    latest = InvoiceIssuance.objects.filter(invoice__in=ids).order_by("invoice_id", "-id").distinct("invoice_id")
    calls = build_lookups(list(latest.values_list("pk", flat=True)), now)
    answers: queue.Queue[FinishedCall] = queue.Queue()
    for call in calls:
        wire.start(call, answers)
    record([answers.get() for _ in calls])
    return len(calls)
