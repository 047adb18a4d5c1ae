"""One call to a provider, made in the event loop's thread."""

import queue
import time

from structlog.stdlib import get_logger

from config.base import clock
from config.processes.http_loop import HttpLoop
from invoices.issuing.calls import Answer, Call, FinishedCall, limit_overrides
from invoices.issuing.documents import parse_document
from invoices.providers import build_provider
from invoices.providers.base import ProviderError, Uncertain
from invoices.providers.http import LAST_EXCHANGE, START_BY, TRACEPARENT, Http

log = get_logger(__name__)
http_loop: HttpLoop[Http] = HttpLoop("providers", Http)


def start(call: Call, answers: "queue.Queue[FinishedCall]") -> None:
    """Make a call in the event loop's thread. The finished call is put into the caller's queue."""
    http_loop.start(lambda http: _call(http, call, answers))


async def _call(http: Http, call: Call, answers: "queue.Queue[FinishedCall]") -> None:
    answer: Answer
    began = time.monotonic()
    TRACEPARENT.set(call.traceparent)
    try:
        answer = await _send_or_look_up(http, call)
    except ProviderError as error:
        answer = error
    except Exception as error:  # our bug; a byte may have left, and the invoice must not stay in SENDING
        log.exception("[providerCallBroke]", **call.about)
        answer = Uncertain("bug", type(error).__name__)
    exchange = LAST_EXCHANGE.get()
    response = {"status": exchange.status, "code": exchange.code, "text": exchange.text} if exchange else None
    finished = FinishedCall(call, answer, clock.now(), response, time.monotonic() - began)
    answers.put(finished)
    _log_call(finished)


async def _send_or_look_up(http: Http, call: Call) -> Answer:
    provider = build_provider(call.provider, call.account, http, **limit_overrides())
    if not call.is_send:
        return await provider.find(call.reference)
    START_BY.set(call.start_by)
    return await provider.issue(parse_document(call.document))


def _log_call(finished: FinishedCall) -> None:
    """One line per call: its kind and invoice, its outcome, and its duration."""
    call, answer, response = finished.call, finished.answer, finished.response or {}
    log.info(
        "[providerCall]",
        kind=call.kind,
        provider=call.provider,
        attempt=call.attempt,
        outcome=finished.outcome,
        code=answer.code if isinstance(answer, ProviderError) else None,
        number=getattr(answer, "number", None),
        status=response.get("status"),
        seconds=finished.seconds,
        **call.about,
    )
