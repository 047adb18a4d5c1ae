"""Record answers, in groups: each on its own issuance, and what follows for its invoice. No answer is thrown away."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from django.db import DataError, IntegrityError, connection, transaction
from psycopg.types.json import Jsonb
from structlog.stdlib import get_logger

from config.base import clock
from config.monitoring import counters
from invoices.counters import CALL, RETRY, bucket
from invoices.issuing.calls import FinishedCall, limits_of
from invoices.issuing.decide import lookup, send
from invoices.issuing.decide.conflicts import fail_as_conflict
from invoices.issuing.logs import log_failures
from invoices.issuing.parked_accounts import update_parking
from invoices.lifecycle import State
from invoices.models import Invoice, InvoiceIssuance
from invoices.moving import Moves, Step, move
from invoices.providers.base import Issued, ProviderError, Refused, Submitted, Uncertain

log = get_logger(__name__)
ISSUANCE = InvoiceIssuance._meta.db_table
UNWRITABLE = (IntegrityError, DataError, UnicodeError)  # the answer's own fault: without it its neighbours are written


def record(answered: list[FinishedCall]) -> None:
    """One transaction for all; where one cannot be written, each for itself, and that one as an answer in doubt."""
    while answered:
        group: dict[int, FinishedCall] = {}  # one answer an invoice; what else was told of it follows in the next round
        answered = [a for a in answered if group.setdefault(a.call.invoice_id, a) is not a]
        try:
            _record(group.values())
        except UNWRITABLE:
            for one in group.values():
                try:
                    _record([one])
                except IntegrityError as error:
                    _record_conflict(one, error)
                except UNWRITABLE as error:
                    log.exception("[answerUnwritable] it counts as unknown", **one.call.about)
                    unknown = Uncertain("unwritable", type(error).__name__)
                    _record([replace(one, answer=unknown, response=None)])


def _record(answered: Iterable[FinishedCall]) -> None:
    sends = {a.call.invoice_id: a for a in answered if a.call.is_send}
    asks = {a.call.invoice_id: a for a in answered if not a.call.is_send}
    with transaction.atomic():
        update_parking(sends.values())
        issuances = _store([*sends.values(), *asks.values()])
        numbered = _numbered_before(sends.values())

        def decide(row: Invoice) -> Step | None:
            now, limits = clock.now(), limits_of(row.provider)
            if row.pk in asks:
                call, found = asks[row.pk].call, asks[row.pk].answer
                issuance = issuances[call.issuance_id]
                return lookup.after_lookup(row, issuance, found, begun=call.started_at, now=now, limits=limits)  # type: ignore[arg-type]
            answer = sends[row.pk].answer
            issuance = issuances[sends[row.pk].call.issuance_id]
            if row.pk in numbered:
                return send.after_redundant_send(row, issuance, answer, numbered[row.pk], now=now, limits=limits)
            return send.after_send(row, issuance, answer, now=now, limits=limits)  # type: ignore[arg-type]

        moves = move([*sends, *asks], decide, actor="worker")
        _count_calls(answered, moves)
        log_failures(moves, sends)


def _count_calls(answered: Iterable[FinishedCall], moves: Moves) -> None:
    """Count calls by provider, kind, outcome and bucket of seconds, and the sends that will be tried again."""
    counts = Counter((CALL, f"{a.call.provider}:{a.call.kind}:{a.outcome}:{bucket(a.seconds)}") for a in answered)
    counts[RETRY, ""] += sum(row.state == State.QUEUED and source == State.SENDING for row, source in moves.moved)
    counters.count(+counts)


def _store(answered: list[FinishedCall]) -> dict[int, InvoiceIssuance]:
    """Write answers onto their issuances. A not-found counts once, and only where it proves something."""
    ids = {a.call.invoice_id for a in answered}
    list(Invoice.objects.filter(pk__in=ids).order_by("pk").select_for_update(no_key=True).values("pk"))  # before theirs
    sends = [a for a in answered if a.call.is_send]
    with connection.cursor() as cursor:
        if sends:
            cursor.execute(
                f"""UPDATE {ISSUANCE} AS old SET outcome = new.outcome, scope = new.scope, code = new.code,
                       message = new.message, symbol = new.symbol, number = new.number, ended_at = new.ended_at,
                       response = new.response, updated_at = new.ended_at,
                       last_byte_by = least(old.last_byte_by, new.ended_at)
                    FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
                                %s::timestamptz[], %s::jsonb[])
                      AS new(id, outcome, scope, code, message, symbol, number, ended_at, response)
                    WHERE old.id = new.id""",
                list(map(list, zip(*(_row(a) for a in sends), strict=True))),
            )
        for a in answered:
            if not a.call.is_send:
                cursor.execute(
                    f"""UPDATE {ISSUANCE} SET lookups = lookups + 1, updated_at = %(ended)s,
                           not_founds = not_founds + proves::int,
                           not_found_at = CASE WHEN proves THEN %(ended)s ELSE not_found_at END
                        FROM (SELECT %(absent)s AND %(begun)s - coalesce(not_found_at, last_byte_by)
                                     >= %(settle)s * interval '1 second' AS proves
                              FROM {ISSUANCE} WHERE id = %(id)s) AS look
                        WHERE id = %(id)s""",
                    {
                        "id": a.call.issuance_id, "begun": a.call.started_at, "ended": a.ended_at,
                        "absent": a.answer is None,
                        "settle": limits_of(a.call.provider).settle,
                    },
                )  # fmt: skip
    return InvoiceIssuance.objects.in_bulk([a.call.issuance_id for a in answered])


def _row(answered: FinishedCall) -> tuple[object, ...]:
    a, answer = answered, answered.answer
    number = answer.number if isinstance(answer, Issued | Submitted) else ""
    symbol = answer.symbol if isinstance(answer, Issued | Submitted) else ""
    return (
        a.call.issuance_id,
        a.outcome,
        answer.scope.value if isinstance(answer, Refused) else "",
        answer.code[:80] if isinstance(answer, ProviderError) else "",
        answer.message if isinstance(answer, ProviderError) else "",
        symbol,
        number,
        a.ended_at,
        Jsonb(a.response),
    )


def _numbered_before(sends: Iterable[FinishedCall]) -> dict[int, InvoiceIssuance]:
    """Other attempts of the same invoices that were given a number."""
    ours = {a.call.issuance_id: a.call.invoice_id for a in sends}
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
