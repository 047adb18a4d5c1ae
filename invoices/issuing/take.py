"""Take due invoices: one short transaction that commits SENDING before any byte leaves.

A lane's slots are counted from its SENDING rows, never stored, so no crash can leave them wrong.
"""

import json
import time
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F

from config.base import clock
from invoices.audit import Event
from invoices.issuing import documents
from invoices.issuing.calls import MARGIN, Call, account_of, limits_of, longest_send
from invoices.issuing.decide.steps import fail_as_late
from invoices.lifecycle import OWED, State, WrongState
from invoices.models import Invoice, InvoiceIssuance, Partition
from invoices.moving import Step, move
from invoices.providers import PROVIDERS
from merchants.models import ProviderAccount

STEP = 1000  # that one transaction ends as late
OWED_SQL = ", ".join(f"'{state}'" for state in OWED)

# A parked lane is half-open: one invoice tries whether the account works again.
SLOTS = "CASE WHEN a.parked_until IS NULL THEN coalesce(a.in_flight, (%(each)s::jsonb ->> a.provider)::int) ELSE 1 END"
OPEN = """a.is_active AND NOT a.paused AND a.deleted_at IS NULL
    AND (a.parked_until IS NULL OR (a.parked_until <= %(now)s AND NOT a.parked_for_login))"""
BUSY = "(SELECT count(*) FROM invoices_invoice WHERE state = 'SENDING' AND account_id = {lane})"
SENDABLE = f"""state = 'QUEUED' AND account_id = {{lane}} AND not_before <= %(now)s AND issue_until > %(now)s
    AND partition <> ALL(%(paused)s) AND issue_date = (
        SELECT min(issue_date) FROM invoices_invoice WHERE account_id = {{lane}} AND state IN ({OWED_SQL}))
    ORDER BY issue_date, id"""

# Step from lane to lane through the index, so that a lane of a million rows costs as much as a lane of one; those that
# were just freed come last, and none is looked at (OFFSET 0) after `room` are found that are open, have a free slot and
# owe something of their oldest day. They are locked in the order of their ids, so that no workers block each other.
LANES = f"""
WITH RECURSIVE lane(id) AS (
    (SELECT account_id FROM invoices_invoice
     WHERE state = 'QUEUED' AND partition = %(partition)s AND account_id > %(after)s ORDER BY account_id LIMIT 1)
    UNION ALL
    SELECT (SELECT account_id FROM invoices_invoice
            WHERE state = 'QUEUED' AND partition = %(partition)s AND account_id > lane.id ORDER BY account_id LIMIT 1)
    FROM lane WHERE lane.id IS NOT NULL
), chosen(id) AS (
    SELECT next.id
    FROM (SELECT id FROM lane WHERE NOT %(paused_here)s UNION ALL SELECT unnest(%(freed)s::bigint[])) AS next(id),
         LATERAL (SELECT FROM merchants_provideraccount a JOIN merchants_merchant m ON m.id = a.merchant_id
                  WHERE a.id = next.id AND NOT m.paused AND {OPEN} AND {BUSY.format(lane="a.id")} < {SLOTS}
                    AND (SELECT true FROM invoices_invoice WHERE {SENDABLE.format(lane="a.id")} LIMIT 1)
                  OFFSET 0) AS ready
    LIMIT %(room)s
)
SELECT a.id, {SLOTS}, EXISTS (
    SELECT FROM invoices_invoice WHERE state = 'QUEUED' AND account_id = a.id AND issue_date < a.last_issue_date)
FROM merchants_provideraccount a WHERE a.id IN (SELECT id FROM chosen) AND {OPEN}
ORDER BY a.id FOR NO KEY UPDATE
"""

# Of each lane as many as it has slots, of any partition, only of the oldest day that the lane still owes.
PICK = f"""
SELECT i.id FROM unnest(%(lanes)s::bigint[], %(slots)s::int[]) AS lane(id, slots)
CROSS JOIN LATERAL (
    SELECT id FROM invoices_invoice
    WHERE {SENDABLE.format(lane="lane.id")} LIMIT greatest(0, lane.slots - {BUSY.format(lane="lane.id")})
    FOR NO KEY UPDATE SKIP LOCKED
) AS i LIMIT %(room)s
"""


def take(partition: int, room: int, *, freed: set[int] = frozenset(), after: int = 0) -> list[Call]:  # type: ignore[assignment]
    """At most `room` sends of this partition's lanes past `after`, then of the lanes that were just `freed`."""
    started = time.monotonic()
    with transaction.atomic():
        now = clock.now()
        paused = list(Partition.objects.filter(paused=True).values_list("number", flat=True))
        with connection.cursor() as cursor:
            facts: dict[str, Any] = {
                "partition": partition, "after": after, "freed": sorted(freed), "now": now, "room": room,
                "paused": paused, "paused_here": partition in paused,
                "each": json.dumps({name: limits_of(name).in_flight for name in PROVIDERS}),
            }  # fmt: skip
            cursor.execute(LANES, facts)
            # Those past `after` come first: no lane starves another.
            found = sorted(cursor.fetchall(), key=lambda lane: (lane[0] <= after, lane[0]))
            behind = {lane for lane, _, overtaken in found if overtaken}
            if behind and not _end_the_overtaken(behind):
                found = [lane for lane in found if lane[0] not in behind]
            lanes = {lane: slots for lane, slots, _ in found}
            if not lanes:
                return []
            accounts = ProviderAccount.objects.select_related("merchant").in_bulk(lanes)
            # The locks may have taken a while.
            facts |= {"lanes": [*lanes], "slots": [*lanes.values()], "now": clock.now()}
            cursor.execute(PICK, facts)
            ids = [row[0] for row in cursor.fetchall()]
        return commit_to_send(ids, accounts, started) if ids else []


def _end_the_overtaken(lanes: set[int]) -> bool:
    """Late is what is of an earlier day than their lane has sent of: no date runs backwards. Is none left?"""

    def decide(invoice: Invoice) -> Step | None:
        why = "its symbol has issued on a later day already, and dates never run backwards"
        return fail_as_late(why) if invoice.state == State.QUEUED else None

    overtaken = Invoice.objects.filter(
        state=State.QUEUED, account__in=lanes, issue_date__lt=F("account__last_issue_date")
    )
    ids = list(overtaken.order_by("account", "issue_date", "id").values_list("pk", flat=True)[:STEP])
    move(ids, decide, actor="worker")
    return len(ids) < STEP


def commit_to_send(ids: list[int], accounts: dict[int, ProviderAccount], started: float) -> list[Call]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT snowflake() FROM generate_series(1, %s)", [len(ids)])
        issuance_ids = dict(zip(ids, (row[0] for row in cursor.fetchall()), strict=True))

    def expose(invoice: Invoice) -> Step:
        if invoice.state != State.QUEUED:
            raise WrongState(f"Order {invoice.order_id} is {invoice.state}")
        now = clock.now()
        changes: dict[str, Any] = {
            "exposed_at": now,
            "exposed_by": issuance_ids[invoice.pk],
            "not_before": now + longest_send(invoice.provider) + MARGIN,  # when it counts as abandoned
        }
        if not invoice.document:
            changes |= documents.drawn_up(invoice)
        return Step(to=State.SENDING, event=Event.TAKEN, changes=changes)

    taken = [invoice for invoice, _ in move(ids, expose, actor="worker").moved]
    _keep_last_days(taken, accounts)
    InvoiceIssuance.objects.bulk_create(_issuance(invoice) for invoice in taken)
    return [_send(invoice, accounts, started) for invoice in taken]


def _keep_last_days(taken: list[Invoice], accounts: dict[int, ProviderAccount]) -> None:
    """Once a lane and day: from now on nothing of an earlier day leaves."""
    days = {accounts[invoice.account_id]: invoice.issue_date for invoice in taken if invoice.account_id}
    for day in set(days.values()):  # a lane's are all of one
        lanes = [lane.pk for lane, its in days.items() if its == day != lane.last_issue_date]
        if lanes:
            ProviderAccount.objects.filter(pk__in=lanes).update(last_issue_date=day)


def _issuance(invoice: Invoice) -> InvoiceIssuance:
    assert invoice.exposed_at and invoice.account_id
    return InvoiceIssuance(
        pk=invoice.exposed_by,
        invoice=invoice,
        account_id=invoice.account_id,
        attempt=invoice.attempts + 1,
        provider=invoice.provider,
        tax_code=invoice.seller_tax_code,
        reference=invoice.reference,
        document_sha256=invoice.document_sha256,
        taken_at=invoice.exposed_at,
        last_byte_by=invoice.exposed_at + longest_send(invoice.provider),
    )


def _send(invoice: Invoice, accounts: dict[int, ProviderAccount], started: float) -> Call:
    assert invoice.exposed_at and invoice.exposed_by and invoice.account_id
    account = accounts[invoice.account_id]
    template = invoice.config_snapshot["account"]["template"]
    return Call(
        invoice_id=invoice.pk,
        issuance_id=invoice.exposed_by,
        provider=invoice.provider,
        account=account_of(account, invoice.seller_tax_code, invoice.form, invoice.symbol, template),
        started_at=invoice.exposed_at,
        reference=str(invoice.reference),
        about=invoice.about,
        attempt=invoice.attempts + 1,
        document=invoice.document,
        start_by=started + settings.START_WITHIN,
        on_trial=account.parked_until is not None,
    )
