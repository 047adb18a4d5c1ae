"""Record finished calls in groups: each answer on its own attempt, and the resulting step on its invoice.

No answer is thrown away.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import cast

from django.db import DataError, IntegrityError, connection, transaction
from structlog.stdlib import get_logger

from config.base import clock
from config.monitoring import counters
from invoices.counters import PROVIDER_CALL, RETRY, bucket
from invoices.issuing.calls import AttemptRow, FinishedCall, LookupAnswer, SendAnswer, limits_of
from invoices.issuing.decide import lookup, send
from invoices.issuing.decide.conflicts import fail_as_conflict
from invoices.issuing.logs import log_failures
from invoices.issuing.parked_accounts import update_parking
from invoices.lifecycle import State
from invoices.models import Invoice, InvoiceIssuance
from invoices.moving import Moves, Step, move
from invoices.providers.base import Uncertain

log = get_logger(__name__)
UNWRITABLE = (IntegrityError, DataError, UnicodeError)  # caused by one answer: the others can be written without it

# The parameters are arrays, one per column of AttemptRow.
STORE_SENDS = """
UPDATE invoices_invoiceissuance AS old SET
    outcome = new.outcome, scope = new.scope, code = new.code, message = new.message, symbol = new.symbol,
    number = new.number, ended_at = new.ended_at, response = new.response, updated_at = new.ended_at,
    last_byte_by = least(old.last_byte_by, new.ended_at)
FROM unnest(
    %(id)s::bigint[], %(outcome)s::text[], %(scope)s::text[], %(code)s::text[], %(message)s::text[],
    %(symbol)s::text[], %(number)s::text[], %(ended_at)s::timestamptz[], %(response)s::jsonb[]
) AS new(id, outcome, scope, code, message, symbol, number, ended_at, response)
WHERE old.id = new.id
"""

# A not-found counts only if it proves something: it began a settle time after the last byte or the last not-found.
STORE_LOOKUP = """
UPDATE invoices_invoiceissuance SET
    lookups = lookups + 1,
    updated_at = %(ended_at)s,
    not_founds = not_founds + proves::int,
    not_found_at = CASE WHEN proves THEN %(ended_at)s ELSE not_found_at END
FROM (
    SELECT %(not_found)s AND %(began_at)s - coalesce(not_found_at, last_byte_by)
           >= %(settle)s * interval '1 second' AS proves
    FROM invoices_invoiceissuance WHERE id = %(id)s
) AS lookup
WHERE id = %(id)s
"""


def record(finished: list[FinishedCall]) -> None:
    """Record all in one transaction; if that fails, each in its own, and an unwritable answer as Uncertain."""
    while finished:
        group: dict[int, FinishedCall] = {}  # one call per invoice; its others follow in the next round
        finished = [one for one in finished if group.setdefault(one.call.invoice_id, one) is not one]
        try:
            _record(list(group.values()))
        except UNWRITABLE:
            for one in group.values():
                _record_alone(one)


def _record_alone(one: FinishedCall) -> None:
    try:
        _record([one])
    except IntegrityError as error:
        _record_conflict(one, error)
    except UNWRITABLE as error:
        log.exception("[answerUnwritable] it counts as unknown", **one.call.about)
        _record([replace(one, answer=Uncertain("unwritable", type(error).__name__), response=None)])


def _record(finished: list[FinishedCall]) -> None:
    by_invoice = {one.call.invoice_id: one for one in finished}
    sends = {one.call.invoice_id: one for one in finished if one.call.is_send}
    with transaction.atomic():
        update_parking(sends.values())
        issuances = _store(finished)
        numbered = _numbered_before(sends.values())
        decide = partial(_decide, by_invoice=by_invoice, issuances=issuances, numbered=numbered)
        moves = move(by_invoice, decide, actor="worker")
        _count_calls(finished, moves)
        log_failures(moves, sends)


def _decide(
    row: Invoice,
    *,
    by_invoice: Mapping[int, FinishedCall],
    issuances: Mapping[int, InvoiceIssuance],
    numbered: Mapping[int, InvoiceIssuance],
) -> Step | None:
    """`issuances` by their ids; `numbered`: other attempts that were given a number, by invoice."""
    one = by_invoice[row.pk]
    issuance = issuances[one.call.issuance_id]
    if one.call.is_send:
        return _decide_send(row, issuance, cast(SendAnswer, one.answer), numbered.get(row.pk))
    return lookup.after_lookup(
        row,
        issuance,
        cast(LookupAnswer, one.answer),
        begun=one.call.started_at,
        now=clock.now(),
        limits=limits_of(row.provider),
    )


def _decide_send(
    row: Invoice, issuance: InvoiceIssuance, answer: SendAnswer, numbered: InvoiceIssuance | None
) -> Step | None:
    now, limits = clock.now(), limits_of(row.provider)
    if numbered:
        return send.after_redundant_send(row, issuance, answer, numbered=numbered, now=now, limits=limits)
    return send.after_send(row, issuance, answer, now=now, limits=limits)


def _count_calls(finished: Iterable[FinishedCall], moves: Moves) -> None:
    """Count calls by provider, kind, outcome and bucket of seconds, and the retries of sends."""
    counts = Counter(
        (PROVIDER_CALL, f"{f.call.provider}:{f.call.kind}:{f.outcome}:{bucket(f.seconds)}") for f in finished
    )
    counts[RETRY, ""] += sum(row.state == State.QUEUED and source == State.SENDING for row, source in moves.moved)
    counters.count(+counts)


def _store(finished: list[FinishedCall]) -> dict[int, InvoiceIssuance]:
    """Write the answers onto their attempts, and return these by their ids."""
    invoices = Invoice.objects.filter(pk__in={one.call.invoice_id for one in finished}).order_by("pk")
    list(invoices.select_for_update(no_key=True).values("pk"))  # invoices are locked before their attempts
    with connection.cursor() as cursor:
        if rows := [one.row() for one in finished if one.call.is_send]:
            columns = [list(column) for column in zip(*rows, strict=True)]
            cursor.execute(STORE_SENDS, dict(zip(AttemptRow._fields, columns, strict=True)))
        for one in finished:
            if not one.call.is_send:
                cursor.execute(
                    STORE_LOOKUP,
                    {
                        "id": one.call.issuance_id,
                        "began_at": one.call.started_at,
                        "ended_at": one.ended_at,
                        "not_found": one.answer is None,
                        "settle": limits_of(one.call.provider).settle,
                    },
                )
    return InvoiceIssuance.objects.in_bulk([one.call.issuance_id for one in finished])


def _numbered_before(sends: Iterable[FinishedCall]) -> dict[int, InvoiceIssuance]:
    """Other attempts of the same invoices that were given a number, by invoice."""
    ours = {one.call.issuance_id: one.call.invoice_id for one in sends}
    if not ours:
        return {}
    others = InvoiceIssuance.objects.filter(invoice__in=ours.values()).exclude(pk__in=ours).exclude(number="")
    return {other.invoice_id: other for other in others}


def _record_conflict(one: FinishedCall, error: IntegrityError) -> None:
    """The provider gave us a number that another invoice of ours has: never hidden, never retried."""
    why = f"the provider's number belongs to another invoice of ours ({type(error.__cause__).__name__})"
    with transaction.atomic():
        issuance = _store([one])[one.call.issuance_id]
        log_failures(move([one.call.invoice_id], lambda row: fail_as_conflict(row, why, issuance), actor="worker"))
