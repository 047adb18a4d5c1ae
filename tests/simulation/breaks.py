"""The code broken on purpose, in seven ways: the simulation must catch each."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from django.db import transaction

from config.base.records import Rows
from invoices.issuing import final_lookups, lookups, record, take
from invoices.issuing.decide import lookup, send
from invoices.issuing.decide.lookup import after_lookup
from invoices.issuing.decide.send import after_send
from invoices.lifecycle import State
from invoices.models import Invoice
from invoices.moving import Step
from invoices.providers.base import Unavailable, Uncertain
from merchants.models import ProviderAccount
from tests.simulation.interleave import Interleaver
from tests.simulation.seeds import simulate
from tests.simulation.world import InvariantBroken

LONGEST = 400  # seeds


@contextmanager
def skip_the_look_up() -> Iterator[None]:
    """Nobody asks: whatever is uncertain counts as absent the first time that its turn comes."""

    def absent(row: Invoice, issuance: Any, answer: Any, **how: Any) -> Step | None:
        if row.state != "UNCERTAIN":
            return after_lookup(row, issuance, answer, **how)
        issuance.not_founds = 2
        return after_lookup(row, issuance, None, **how)

    with patch.object(lookup, "after_lookup", absent):
        yield


@contextmanager
def resend_on_uncertain() -> Iterator[None]:
    """A time-out counts as a failure like any other."""

    def unsure(row: Invoice, issuance: Any, answer: Any, **how: Any) -> Step | None:
        if isinstance(answer, Uncertain):
            answer = Unavailable(answer.code, answer.message)
        return after_send(row, issuance, answer, **how)

    with patch.object(send, "after_send", unsure):
        yield


@contextmanager
def take_without_any_row_lock() -> Iterator[None]:
    unlocked = {
        "LANES": take.LANES.replace("FOR NO KEY UPDATE OF a", ""),
        "PICK": take.PICK.replace("FOR NO KEY UPDATE SKIP LOCKED", ""),
    }
    with patch.multiple(take, **unlocked), patch.object(Rows, "select_for_update", lambda rows, **how: rows.all()):
        yield


@contextmanager
def record_outside_the_transaction() -> Iterator[None]:
    """The answer is stored and committed, and only then the invoice moves."""
    store = transaction.atomic(record._store)
    with patch.multiple(record, _store=store, transaction=SimpleNamespace(atomic=nullcontext)):
        yield


@contextmanager
def record_not_fenced_by_issuance() -> Iterator[None]:
    """The answer to an older attempt is taken for the answer to the current one."""

    def unfenced(row: Invoice, issuance: Any, answer: Any, **how: Any) -> Step | None:
        exposed_by, row.exposed_by = row.exposed_by, issuance.pk
        try:
            return after_send(row, issuance, answer, **how)
        finally:
            row.exposed_by = exposed_by

    with patch.object(send, "after_send", unfenced):
        yield


@contextmanager
def ask_at_the_current_account() -> Iterator[None]:
    """Look-ups go to the account that the merchant has today."""

    def today(issuance_ids: list[int], now: Any) -> list[Any]:
        calls = look_ups(issuance_ids, now)
        for call in calls:
            account = ProviderAccount.objects.get(pk=call.account.id)
            newest = ProviderAccount.usable(account.merchant, account.form)[0]
            object.__setattr__(call.account, "id", newest.pk)
        return calls

    look_ups = lookups.build_lookups
    with patch.object(lookups, "build_lookups", today), patch.object(final_lookups, "build_lookups", today):
        yield


@contextmanager
def cancel_what_is_refused_for_now() -> Iterator[None]:
    """A provider that is busy ends the sale: nothing was refunded, and nothing is owed any more."""

    def gone(row: Invoice, answer: Any, now: Any) -> Step:
        step = unavailable(row, answer, now)
        ended = replace(step, to=State.CANCELLED, event="cancelled")
        return ended if step.to == State.QUEUED and answer.code != send.NOT_SENT else step

    unavailable = send._unavailable
    with patch.object(send, "_unavailable", gone):
        yield


BREAKS: dict[str, Callable[[], Any]] = {
    "skip the look-up": skip_the_look_up,
    "resend on Uncertain": resend_on_uncertain,
    "take without any row lock": take_without_any_row_lock,
    "record outside the transaction": record_outside_the_transaction,
    "record not fenced by issuance": record_not_fenced_by_issuance,
    "ask at the current account": ask_at_the_current_account,
    "cancel what is refused for now": cancel_what_is_refused_for_now,
}


def seeds_until_caught(name: str, personality: str, interleaver: Interleaver) -> tuple[int, str]:
    """How many seeds were run, and what was found with the last of them ("": nothing)."""
    with BREAKS[name]():
        for seed in range(LONGEST):
            try:
                simulate(seed, personality, interleaver)
            except InvariantBroken as broken:
                return seed + 1, broken.what
    return LONGEST, ""
