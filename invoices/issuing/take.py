"""Take due invoices: one short transaction that commits SENDING before any byte leaves.

An account's open calls are counted from its SENDING rows, never stored, so no crash can leave the count wrong.
"""

import json
import time
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F

from config.base import clock
from config.base.ids import new_ids
from invoices.audit import Event
from invoices.issuing import documents
from invoices.issuing.calls import MARGIN, Call, build_account, limits_of, longest_send
from invoices.issuing.decide.steps import fail_as_late
from invoices.lifecycle import State, WrongState
from invoices.models import Invoice, InvoiceIssuance, Partition
from invoices.moving import Step, move
from invoices.providers import PROVIDERS
from merchants.models import ProviderAccount

SQL = Path(__file__).with_name("sql")
LOCK_ACCOUNTS = (SQL / "lock_accounts.sql").read_text()
PICK_INVOICES = (SQL / "pick_invoices.sql").read_text()
MOST_LATE = 1000  # invoices that one transaction fails as late


class LockedAccount(NamedTuple):
    id: int
    slots: int  # calls that may be open at once
    overtaken: bool  # an invoice is due of an earlier day than the account has already sent


def take(partition: int, room: int, *, freed: Collection[int] = (), after: int = 0) -> list[Call]:
    """Take at most `room` sends, of this partition's accounts with ids past `after` before all others.

    `freed`: accounts whose calls have just ended. They come last.
    """
    started = time.monotonic()
    with transaction.atomic(), connection.cursor() as cursor:
        now = clock.now()
        paused = list(Partition.objects.filter(paused=True).values_list("number", flat=True))
        shared: dict[str, Any] = {"now": now, "room": room, "paused": paused}
        cursor.execute(
            LOCK_ACCOUNTS,
            {
                **shared,
                "partition": partition,
                "paused_here": partition in paused,
                "after": after,
                "freed": sorted(freed),
                "limits": json.dumps({name: limits_of(name).in_flight for name in PROVIDERS}),
            },
        )
        locked = [LockedAccount(*row) for row in cursor.fetchall()]
        locked.sort(key=lambda account: (account.id <= after, account.id))  # no account starves another
        overtaken = {account.id for account in locked if account.overtaken}
        if overtaken and not _fail_overtaken(overtaken):
            locked = [account for account in locked if account.id not in overtaken]
        if not locked:
            return []
        accounts = ProviderAccount.objects.select_related("merchant").in_bulk([account.id for account in locked])
        cursor.execute(
            PICK_INVOICES,
            {
                **shared,
                "accounts": [account.id for account in locked],
                "slots": [account.slots for account in locked],
                "now": clock.now(),  # again: the locks may have taken a while
            },
        )
        ids = [row[0] for row in cursor.fetchall()]
        return commit_to_send(ids, accounts, started) if ids else []


def commit_to_send(ids: list[int], accounts: dict[int, ProviderAccount], started: float) -> list[Call]:
    """Move the invoices to SENDING, with one open attempt each. `started`: when their take began, monotonic."""
    issuance_ids = dict(zip(ids, new_ids(len(ids)), strict=True))
    moves = move(ids, partial(_expose, issuance_ids=issuance_ids), actor="worker")
    taken = [invoice for invoice, _ in moves.moved]
    _save_last_issue_dates(taken, accounts)
    InvoiceIssuance.objects.bulk_create(_build_issuance(invoice) for invoice in taken)
    return [_build_send(invoice, accounts, started) for invoice in taken]


def _expose(invoice: Invoice, *, issuance_ids: Mapping[int, int]) -> Step:
    if invoice.state != State.QUEUED:
        raise WrongState(f"Order {invoice.order_id} is {invoice.state}")
    now = clock.now()
    changes: dict[str, Any] = {
        "exposed_at": now,
        "exposed_by": issuance_ids[invoice.pk],
        "not_before": now + longest_send(invoice.provider) + MARGIN,  # when it counts as abandoned
    }
    if not invoice.document:
        changes |= documents.render_changes(invoice)
    return Step(to=State.SENDING, event=Event.TAKEN, changes=changes)


def _fail_overtaken(accounts: Collection[int]) -> bool:
    """Fail as late the invoices of a day before their account's last. Returns whether none is left."""
    overtaken = Invoice.objects.filter(
        state=State.QUEUED, account__in=accounts, issue_date__lt=F("account__last_issue_date")
    )
    ids = list(overtaken.order_by("account", "issue_date", "id").values_list("pk", flat=True)[:MOST_LATE])
    move(ids, _overtaken_step, actor="worker")
    return len(ids) < MOST_LATE


def _overtaken_step(invoice: Invoice) -> Step | None:
    why = "its symbol has issued on a later day already, and dates never run backwards"
    return fail_as_late(why) if invoice.state == State.QUEUED else None


def _save_last_issue_dates(taken: list[Invoice], accounts: dict[int, ProviderAccount]) -> None:
    """Once per account and day: from now on the account sends nothing of an earlier day."""
    days = {accounts[invoice.account_id]: invoice.issue_date for invoice in taken if invoice.account_id}
    for day in set(days.values()):  # those of one account are all of one day
        ids = [account.pk for account, its_day in days.items() if its_day == day != account.last_issue_date]
        if ids:
            ProviderAccount.objects.filter(pk__in=ids).update(last_issue_date=day)


def _build_issuance(invoice: Invoice) -> InvoiceIssuance:
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


def _build_send(invoice: Invoice, accounts: dict[int, ProviderAccount], started: float) -> Call:
    assert invoice.exposed_at and invoice.exposed_by and invoice.account_id
    account = accounts[invoice.account_id]
    template = invoice.config_snapshot["account"]["template"]
    return Call(
        invoice_id=invoice.pk,
        issuance_id=invoice.exposed_by,
        provider=invoice.provider,
        account=build_account(account, invoice.seller_tax_code, invoice.form, invoice.symbol, template),
        started_at=invoice.exposed_at,
        reference=str(invoice.reference),
        about=invoice.about,
        attempt=invoice.attempts + 1,
        document=invoice.document,
        start_by=started + settings.START_WITHIN,
        on_trial=account.parked_until is not None,
    )
