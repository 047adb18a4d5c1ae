"""One call to a provider, made in the event loop's thread."""

import queue
import time

from structlog.stdlib import get_logger

from config.base import clock
from config.processes.http_loop import HttpLoop
from invoices.issuing.calls import Answer, Call, FinishedCall, overrides
from invoices.issuing.documents import read
from invoices.providers import build_provider
from invoices.providers.base import ProviderError, Uncertain
from invoices.providers.http import LAST_EXCHANGE, START_BY, TRACEPARENT, Http

log = get_logger(__name__)
http_loop: HttpLoop[Http] = HttpLoop("providers", Http)


def start(call: Call, answers: "queue.Queue[FinishedCall]") -> None:
    """Make a call in the event loop's thread; what it was answered is put into the caller's queue."""
    http_loop.start(lambda http: _call(http, call, answers))


async def _call(http: Http, call: Call, answers: "queue.Queue[FinishedCall]") -> None:
    answer: Answer
    began = time.monotonic()
    TRACEPARENT.set(call.traceparent)
    try:
        answer = await _ask_or_send(http, call)
    except ProviderError as error:
        answer = error
    except Exception as error:  # our own fault, and a byte may have left: the invoice must not hang in SENDING
        log.exception("[providerCallBroke]", **call.about)
        answer = Uncertain("bug", type(error).__name__)
    exchange = LAST_EXCHANGE.get()
    response = {"status": exchange.status, "code": exchange.code, "text": exchange.text} if exchange else None
    answered = FinishedCall(call, answer, clock.now(), response, time.monotonic() - began)
    answers.put(answered)
    _log_call(answered)


async def _ask_or_send(http: Http, call: Call) -> Answer:
    provider = build_provider(call.provider, call.account, http, **overrides())
    if not call.is_send:
        return await provider.find(call.reference)
    START_BY.set(call.start_by)
    return await provider.issue(read(call.document))


def _log_call(answered: FinishedCall) -> None:
    """One line a call: which, of whom, how it went and how long it took."""
    call, response = answered.call, answered.response or {}
    log.info(
        "[providerCall]",
        kind=call.kind,
        provider=call.provider,
        attempt=call.attempt,
        outcome=answered.outcome,
        code=getattr(answered.answer, "code", None) if isinstance(answered.answer, ProviderError) else None,
        number=getattr(answered.answer, "number", None),
        status=response.get("status"),
        seconds=answered.seconds,
        **call.about,
    )
