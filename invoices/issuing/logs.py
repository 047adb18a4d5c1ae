"""Log lines of failures, with the markers that operators search for."""

from collections.abc import Mapping
from types import MappingProxyType

from structlog.stdlib import get_logger

from config.base import clock
from invoices.issuing.calls import FinishedCall
from invoices.lifecycle import Reason, State
from invoices.moving import Moves
from invoices.providers.base import ProviderError

log = get_logger(__name__)


def log_failures(moves: Moves, sends: Mapping[int, FinishedCall] = MappingProxyType({})) -> None:
    """Log dead letters, retries and conflicts. `sends`: the finished sends, by invoice."""
    for row, source in moves.moved:
        answer = sends[row.pk].answer if row.pk in sends else None
        why = {"error": type(answer).__name__, "code": answer.code} if isinstance(answer, ProviderError) else {}
        facts = {**row.about, "attempt": row.attempts, **why}
        if row.state == State.FAILED != source and row.failure == Reason.EXHAUSTED:
            log.error("[DLQ] invoice-issuance", **facts)
        elif row.state == State.QUEUED and source == State.SENDING and row.attempts:
            delay = (row.not_before - clock.now()).total_seconds()
            log.warning("[_handleIssuanceFailure] Scheduling retry", delay=delay, **facts)
        elif row.state == State.FAILED and row.failure == Reason.CONFLICT:
            log.critical("[conflict]", why=row.failure_message, **facts)
