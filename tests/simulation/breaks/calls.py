"""Bugs that wrap a function of the product. Each calls `changed` when it changes what the product does."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from django.db import connection, transaction

from config.base.records import Rows
from invoices.audit import Event
from invoices.issuing import final_lookups, lookups, record, take
from invoices.issuing.decide import lookup, send
from invoices.issuing.decide.lookup import after_lookup
from invoices.issuing.decide.send import after_send
from invoices.lifecycle import State
from invoices.models import Invoice
from invoices.moving import Step
from invoices.providers.base import Unavailable, Uncertain
from merchants.models import ProviderAccount
from tests.simulation.breaks.edits import replaced

Changed = Callable[[], None]


@contextmanager
def skip_the_lookup(changed: Changed) -> Iterator[None]:
    """An uncertain invoice counts as absent at its first look-up, whatever the provider answers."""

    def absent(row: Invoice, issuance: Any, answer: Any, **how: Any) -> Step | None:
        if row.state != State.UNCERTAIN:
            return after_lookup(row, issuance, answer, **how)
        if answer is not None or issuance.not_founds < 2:
            changed()
        issuance.not_founds = 2
        return after_lookup(row, issuance, None, **how)

    with patch.object(lookup, "after_lookup", absent):
        yield


@contextmanager
def resend_on_uncertain(changed: Changed) -> Iterator[None]:
    """A time-out counts as Unavailable."""

    def unavailable(row: Invoice, issuance: Any, answer: Any, **how: Any) -> Step | None:
        if isinstance(answer, Uncertain):
            changed()
            answer = Unavailable(answer.code, answer.message)
        return after_send(row, issuance, answer, **how)

    with patch.object(send, "after_send", unavailable):
        yield


@contextmanager
def take_without_any_row_lock(changed: Changed) -> Iterator[None]:
    """Neither accounts nor invoices are locked."""

    def unlocked(rows: Any, **how: Any) -> Any:
        changed()
        return rows.all()

    statements = {
        "LOCK_ACCOUNTS": replaced(take.LOCK_ACCOUNTS, "FOR NO KEY UPDATE", ""),
        "PICK_INVOICES": replaced(take.PICK_INVOICES, "FOR NO KEY UPDATE SKIP LOCKED", ""),
    }
    with patch.multiple(take, **statements), patch.object(Rows, "select_for_update", unlocked):
        yield


@contextmanager
def record_outside_the_transaction(changed: Changed) -> Iterator[None]:
    """The answer is stored and committed before the invoice moves."""
    store = record._store

    def store_and_commit(*answers: Any) -> Any:
        if not connection.in_atomic_block:
            changed()
        with transaction.atomic():
            return store(*answers)

    with patch.multiple(record, _store=store_and_commit, transaction=SimpleNamespace(atomic=nullcontext)):
        yield


@contextmanager
def record_not_fenced_by_attempt(changed: Changed) -> Iterator[None]:
    """The answer to an older attempt is taken for the answer to the current one."""

    def unfenced(row: Invoice, issuance: Any, answer: Any, **how: Any) -> Step | None:
        if row.exposed_by != issuance.pk:
            changed()
        exposed_by, row.exposed_by = row.exposed_by, issuance.pk
        try:
            return after_send(row, issuance, answer, **how)
        finally:
            row.exposed_by = exposed_by

    with patch.object(send, "after_send", unfenced):
        yield


@contextmanager
def look_up_at_the_current_account(changed: Changed) -> Iterator[None]:
    """Look-ups go to the merchant's newest account, not to the account of the attempt."""
    build_lookups = lookups.build_lookups

    def at_the_newest(*lookups_of: Any) -> list[Any]:
        calls = build_lookups(*lookups_of)
        for call in calls:
            account = ProviderAccount.objects.get(pk=call.account.id)
            newest = ProviderAccount.usable(account.merchant, account.form)[0]
            if newest.pk != account.pk:
                changed()
            object.__setattr__(call.account, "id", newest.pk)
        return calls

    with (
        patch.object(lookups, "build_lookups", at_the_newest),
        patch.object(final_lookups, "build_lookups", at_the_newest),
    ):
        yield


@contextmanager
def cancel_on_unavailable(changed: Changed) -> Iterator[None]:
    """A provider that is unavailable ends the sale although nothing was refunded."""
    after_unavailable = send._unavailable

    def cancelled(row: Invoice, answer: Any, now: Any) -> Step:
        step = after_unavailable(row, answer, now)
        if step.to != State.QUEUED or answer.code == send.NOT_SENT:
            return step
        changed()
        return replace(step, to=State.CANCELLED, event=Event.CANCELLED)

    with patch.object(send, "_unavailable", cancelled):
        yield


CALLS: dict[str, Callable[[Changed], AbstractContextManager[None]]] = {
    "skip the look-up": skip_the_lookup,
    "resend on Uncertain": resend_on_uncertain,
    "take without any row lock": take_without_any_row_lock,
    "record outside the transaction": record_outside_the_transaction,
    "record not fenced by attempt": record_not_fenced_by_attempt,
    "look up at the current account": look_up_at_the_current_account,
    "cancel on Unavailable": cancel_on_unavailable,
}
