"""Bulk runs: their verbs, each for one invoice, and the runs, each of one verb for all invoices of a filtered list.

`bulk_worker` does the work.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import Count, QuerySet

from config.base import clock
from config.base.crypto import DecryptionFailed
from invoices.lifecycle import WrongState
from invoices.models import BulkItem, BulkRun, Invoice, InvoiceIssuance
from invoices.opening.facts import Unacceptable
from invoices.operations.cancel import cancel
from invoices.operations.issue_now import issue_now
from invoices.operations.look_up import latest_attempt
from invoices.operations.replay import replay

MAX_INVOICES = 100_000  # in one run
MAX_REASONS = 50  # listed on a run's page
REJECTIONS = (WrongState, Unacceptable, DecryptionFailed)


class TooMany(Exception):
    """The list has more than MAX_INVOICES invoices."""


@dataclass(frozen=True, slots=True)
class Verb:
    """`perform` returns a sentence about its effect or raises one of REJECTIONS. With `dry_run` it changes nothing."""

    label: str
    permission: str
    perform: Callable[..., str]


def _replay(invoice: Invoice, *, actor: str, reason: str, dry_run: bool) -> str:
    result = replay(invoice, actor=actor, reason=reason, dry_run=dry_run)
    if not result.acted:
        raise WrongState(f"It is {result.state}: {result.why}.")
    return result.why


def _look_up(invoice: Invoice, *, actor: str, reason: str, dry_run: bool) -> str:
    """For the dry run only: `bulk_worker` makes several look-ups at once."""
    attempt_to_look_up(invoice)
    return "it is looked up at its provider"


def _issue_now(invoice: Invoice, *, actor: str, reason: str, dry_run: bool) -> str:
    issue_now(invoice, actor=actor, reason=reason, dry_run=dry_run)
    return "it no longer waits for its buyer"


def _cancel(invoice: Invoice, *, actor: str, reason: str, dry_run: bool) -> str:
    cancel(invoice, actor=actor, reason=reason, dry_run=dry_run)
    return "no invoice is owed for it any more"


VERBS = {
    "replay": Verb("Replay", "invoices.replay_invoice", _replay),
    "look_up": Verb("Look up", "invoices.look_up_invoice", _look_up),
    "issue_now": Verb("Issue now", "invoices.issue_invoice_now", _issue_now),
    "cancel": Verb("Cancel", "invoices.cancel_invoice", _cancel),
}


def attempt_to_look_up(invoice: Invoice) -> InvoiceIssuance:
    """Raises WrongState, or DecryptionFailed if the account's login cannot be decrypted."""
    attempt = latest_attempt(invoice)
    _ = attempt.account.credentials
    return attempt


def generalize(message: str, invoice: Invoice) -> str:
    """A message without the order's id and without times, so that equal reasons are counted together."""
    text = message.replace(f"Order {invoice.order_id}", "The order").replace(f"order {invoice.order_id}", "the order")
    text = re.sub(r"( at| until)? \d{4}-\d\d-\d\dT[\d:.+-]*\d", "", text)
    return re.sub(r"\s+", " ", text).strip()[:200]


def create_run(verb: str, invoices: QuerySet[Invoice], *, user_id: int, selection: str) -> BulkRun:
    """Store a run and its items: the invoices that are in the list now. Raises TooMany."""
    run = BulkRun(verb=verb, user_id=user_id, selection=selection)
    sql, values = invoices.order_by().values("pk")[: MAX_INVOICES + 1].query.sql_with_params()
    with transaction.atomic():
        run.save()
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO invoices_bulkitem (run_id, invoice_id, outcome, reason) "
                f"SELECT %s, id, '', '' FROM ({sql}) AS selected(id) ORDER BY id ON CONFLICT DO NOTHING",
                [run.pk, *values],
            )
            if cursor.rowcount > MAX_INVOICES:
                raise TooMany(f"These are more than {MAX_INVOICES:,} invoices. Narrow the list first.")
    return run


def confirm(run: BulkRun, *, user_id: int, reason: str) -> bool:
    """Start a run that waits for confirmation. False if it was not waiting."""
    ready = BulkRun.objects.filter(pk=run.pk, state=BulkRun.State.READY)
    now = clock.now()
    state = BulkRun.State.RUNNING
    return bool(ready.update(state=state, user_id=user_id, reason=reason, started_at=now, updated_at=now))


def abort(run: BulkRun) -> bool:
    """Stop a run before its next item; performed items stay. False if the run had ended."""
    unfinished = BulkRun.objects.filter(pk=run.pk).exclude(state__in=[BulkRun.State.DONE, BulkRun.State.ABORTED])
    return bool(unfinished.update(state=BulkRun.State.ABORTED, ended_at=clock.now(), updated_at=clock.now()))


def count_reasons(items: QuerySet[BulkItem]) -> Sequence[tuple[str, int]]:
    """Each reason and its count, the most frequent first; those beyond MAX_REASONS in one entry."""
    counted = items.order_by().values_list("reason").annotate(count=Count("id")).order_by("-count", "reason")
    first = list(counted[: MAX_REASONS + 1])
    if len(first) <= MAX_REASONS:
        return first
    del first[MAX_REASONS:]
    return [*first, ("other reasons", items.count() - sum(count for _, count in first))]
