"""Bulk runs: one verb for the whole of a filtered list. A worker of errands tries each dry, then acts on each.

Every item is a transaction of its own, so no lock outlives one invoice and nothing waits for a run; a run that is
interrupted goes on with the items that have no outcome.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Count, QuerySet

from config.base import clock
from config.base.crypto import CannotOpen
from config.processes.shutdown import shutdown
from invoices.lifecycle import WrongState
from invoices.models import BulkItem, BulkRun, Invoice, InvoiceIssuance
from invoices.opening.facts import Unacceptable
from invoices.operations.cancel import cancel
from invoices.operations.issue_now import issue_now
from invoices.operations.look_up import Looked, ask, latest, settle
from invoices.operations.replay import replay
from invoices.providers.base import Found

log = structlog.get_logger(__name__)
MOST = 100_000  # invoices of one run
STEP = 200  # rows of a dry run's step
ACTS = 50  # until another run has its turn
REASONS = 50  # that its page lists
ASKS = 10  # look-ups that are open at once
TURN_SECONDS = 5.0  # then other errands have their turn
DECLINED = (WrongState, Unacceptable, CannotOpen)


class TooMany(Exception):
    """The list holds more than one run may."""


@dataclass(frozen=True, slots=True)
class Verb:
    """`act` returns what happened and raises one of DECLINED where nothing may; dry, it changes nothing."""

    label: str
    permission: str
    act: Callable[..., str]


def _replay(invoice: Invoice, *, actor: str, reason: str, dry_run: bool) -> str:
    done = replay(invoice, actor=actor, reason=reason, dry_run=dry_run)
    if not done.acted:
        raise WrongState(f"It is {done.state}: {done.why}.")
    return done.why


def _look_up(invoice: Invoice, *, actor: str, reason: str, dry_run: bool) -> str:
    _askable(invoice)  # acting is for many at once: see _ask_some
    return "the provider is asked about it"


def _issue_now(invoice: Invoice, *, actor: str, reason: str, dry_run: bool) -> str:
    issue_now(invoice, actor=actor, reason=reason, dry_run=dry_run)
    return "it does not wait for its buyer any more"


def _cancel(invoice: Invoice, *, actor: str, reason: str, dry_run: bool) -> str:
    cancel(invoice, actor=actor, reason=reason, dry_run=dry_run)
    return "no invoice is owed for it any more"


VERBS = {
    "replay": Verb("Replay", "invoices.replay_invoice", _replay),
    "look_up": Verb("Look up", "invoices.look_up_invoice", _look_up),
    "issue_now": Verb("Issue now", "invoices.issue_invoice_now", _issue_now),
    "cancel": Verb("Cancel", "invoices.cancel_invoice", _cancel),
}


# --- What people do ---------------------------------------------------------------------------------------------------


def choose(verb: str, invoices: QuerySet[Invoice], *, user_id: int, chosen: str) -> BulkRun:
    """Write down which invoices a run is about, as they are now. Raises TooMany."""
    run = BulkRun(verb=verb, user_id=user_id, chosen=chosen)
    sql, values = invoices.order_by().values("pk")[: MOST + 1].query.sql_with_params()
    with transaction.atomic():
        run.save()
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {BulkItem._meta.db_table} (run_id, invoice_id, outcome, why) "
                f"SELECT %s, id, '', '' FROM ({sql}) AS chosen(id) ORDER BY id ON CONFLICT DO NOTHING",
                [run.pk, *values],
            )
            if cursor.rowcount > MOST:
                raise TooMany(f"These are more than {MOST:,} invoices: narrow the list first.")
    return run


def confirm(run: BulkRun, *, user_id: int, reason: str) -> bool:
    """Whether it was for this call to start it."""
    ready = BulkRun.objects.filter(pk=run.pk, state=BulkRun.State.READY)
    now = clock.now()
    state = BulkRun.State.RUNNING
    return bool(ready.update(state=state, user_id=user_id, reason=reason, started_at=now, updated_at=now))


def abort(run: BulkRun) -> bool:
    """What is done stays done; the next item is not begun."""
    going = BulkRun.objects.filter(pk=run.pk).exclude(state__in=[BulkRun.State.DONE, BulkRun.State.ABORTED])
    return bool(going.update(state=BulkRun.State.ABORTED, ended_at=clock.now(), updated_at=clock.now()))


# --- What a worker does -----------------------------------------------------------------------------------------------


def work() -> int:
    """One turn at the runs, the one that waits longest first. Returns how many items were dealt with."""
    until, done = time.monotonic() + TURN_SECONDS, 0
    at_work = BulkRun.objects.filter(state__in=[BulkRun.State.REHEARSING, BulkRun.State.RUNNING])
    while not shutdown.is_set() and time.monotonic() < until and (run := at_work.order_by("updated_at").first()):
        try:
            done += _rehearse_some(run) if run.state == BulkRun.State.REHEARSING else _act_on_some(run)
        finally:  # a run that breaks goes to the end of the line as well: the next turn is another's
            BulkRun.objects.filter(pk=run.pk).update(updated_at=clock.now())
    return done


def _rehearse_some(run: BulkRun) -> int:
    items = list(run.items.filter(would=None).order_by("pk").values_list("pk", "invoice_id")[:STEP])
    if not items:
        BulkRun.objects.filter(pk=run.pk, state=BulkRun.State.REHEARSING).update(state=BulkRun.State.READY)
        return 0
    invoices = _with_accounts().in_bulk([invoice for _, invoice in items])
    told = [(pk, *_foresee(run, invoices[invoice])) for pk, invoice in items]
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {BulkItem._meta.db_table} AS item SET would = new.would, why = new.why "
            "FROM unnest(%s::bigint[], %s::bool[], %s::text[]) AS new(id, would, why) WHERE item.id = new.id",
            list(map(list, zip(*told, strict=True))),
        )
    return len(items)


def _foresee(run: BulkRun, invoice: Invoice) -> tuple[bool, str]:
    try:
        return True, VERBS[run.verb].act(invoice, actor=run.actor, reason="", dry_run=True)[:200]
    except DECLINED as error:
        return False, alike(str(error), invoice)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:  # one invoice must not stop the others
        log.exception("[bulkItemFailed]", invoice=invoice.pk)
        return False, type(error).__name__


def _act_on_some(run: BulkRun) -> int:
    to_do = run.items.filter(would=True, outcome="", run__state=BulkRun.State.RUNNING)
    if run.verb == "look_up":
        done = _ask_some(run, to_do)
    else:
        found = to_do.order_by("pk").values_list("pk", "invoice_id")[:ACTS]
        done = sum(_act_on_one(run, to_do, *ids) for ids in found if not shutdown.is_set())
    if not done and not run.items.filter(would=True, outcome="").exists():
        now, running = clock.now(), BulkRun.State.RUNNING
        BulkRun.objects.filter(pk=run.pk, state=running).update(state=BulkRun.State.DONE, ended_at=now)
    return done


def _act_on_one(run: BulkRun, to_do: QuerySet[BulkItem], pk: int, invoice_id: int) -> bool:
    """The act and its outcome in one transaction. False where another worker has it, or the run was aborted."""
    try:
        with transaction.atomic():
            item = to_do.filter(pk=pk).select_for_update(no_key=True, skip_locked=True, of=("self",)).first()
            if item is None:
                return False
            outcome, why = _act(run, _with_accounts().get(pk=invoice_id))
            BulkItem.objects.filter(pk=pk).update(outcome=outcome, why=why)
    except (OperationalError, InterfaceError):
        raise  # the database is going away: the item is taken up again
    except Exception as error:  # one invoice must not stop the others
        log.exception("[bulkItemFailed]", invoice=invoice_id)
        BulkItem.objects.filter(pk=pk, outcome="").update(outcome=BulkItem.Outcome.FAILED, why=type(error).__name__)
    return True


def _act(run: BulkRun, invoice: Invoice) -> tuple[str, str]:
    """A verb that declines has rolled back what it began."""
    try:
        why = VERBS[run.verb].act(invoice, actor=run.actor, reason=_reason(run), dry_run=False)
        return BulkItem.Outcome.ACTED, why[:200]
    except DECLINED as error:
        return BulkItem.Outcome.DECLINED, alike(str(error), invoice)


def _ask_some(run: BulkRun, to_do: QuerySet[BulkItem]) -> int:
    """Several look-ups at once with no transaction open; then their answers and the items' outcomes in one."""
    items = {item.invoice_id: item for item in to_do[:ASKS]}
    issuances, declined = [], []
    for invoice in _with_accounts().filter(pk__in=items):
        try:
            issuances.append(_askable(invoice))
        except DECLINED as error:
            declined.append((items[invoice.pk], alike(str(error), invoice)))
    answered = ask(issuances)
    with transaction.atomic():
        mine = to_do.filter(pk__in=[item.pk for item in items.values()])
        open_ = {item.pk for item in mine.select_for_update(no_key=True, of=("self",))}
        ours = [a for a in answered if items[a.call.invoice_id].pk in open_]
        for looked in settle(ours, actor=run.actor, reason=_reason(run)):
            item = items[looked.invoice.pk]
            item.outcome, item.why = BulkItem.Outcome.ACTED, _answered(looked)
        for item, why in declined:
            item.outcome, item.why = BulkItem.Outcome.DECLINED, why
        BulkItem.objects.bulk_update([i for i in items.values() if i.outcome and i.pk in open_], ["outcome", "why"])
    return len(items)


def _answered(looked: Looked) -> str:
    """Without numbers, which the invoice's own page has: as few reasons as there are kinds of answers."""
    if isinstance(looked.answer, Found):
        return f"the provider has it: {looked.invoice.state}"
    return f"the look-up failed: {type(looked.answer).__name__}" if looked.answer else "the provider does not know it"


def _askable(invoice: Invoice) -> InvoiceIssuance:
    """The attempt to ask about. Raises WrongState, or CannotOpen: one bad login must not stop the others' look-ups."""
    issuance = latest(invoice)
    _ = issuance.account.credentials
    return issuance


def _reason(run: BulkRun) -> str:
    return f"{run.reason} (bulk {run.pk})"


def _with_accounts() -> QuerySet[Invoice]:
    return Invoice.objects.select_related("merchant__tax_info", "account__merchant")


def alike(message: str, invoice: Invoice) -> str:
    """A message without what is each invoice's own, so that equal reasons are counted together."""
    told = message.replace(f"Order {invoice.order_id}", "The order").replace(f"order {invoice.order_id}", "the order")
    told = re.sub(r"( at| until)? \d{4}-\d\d-\d\dT[\d:.+-]*\d", "", told)
    return re.sub(r"\s+", " ", told).strip()[:200]


def reasons(items: QuerySet[BulkItem]) -> Sequence[tuple[str, int]]:
    """Why, and how often; the most frequent first, and what is beyond REASONS in one."""
    told = items.order_by().values_list("why").annotate(count=Count("id")).order_by("-count", "why")
    first = list(told[: REASONS + 1])
    if len(first) <= REASONS:
        return first
    del first[REASONS:]
    return [*first, ("other reasons", items.count() - sum(count for _, count in first))]
