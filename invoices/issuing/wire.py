"""The event loop, in a thread of its own. It does HTTP only; the database stays with the task's thread."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from structlog.stdlib import get_logger

from config.base import clock
from invoices.issuing.calls import Answer, Answered, Call, overrides
from invoices.issuing.documents import read
from invoices.providers import build
from invoices.providers.base import ProviderError, Uncertain
from invoices.providers.http import LAST, START_BY, TRACEPARENT, Http

log = get_logger(__name__)
T = TypeVar("T")


class Wire:
    """One per process. Answers of calls are put into the queue that the caller brings."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._http: Http | None = None
        threading.Thread(target=self._loop.run_forever, name="wire", daemon=True).start()

    def start(self, call: Call, answers: "queue.Queue[Answered]") -> None:
        asyncio.run_coroutine_threadsafe(self._call(call, answers), self._loop)

    def run(self, work: Callable[[Http], Coroutine[Any, Any, T]]) -> T:
        """Run something else that needs the session, and wait for it."""

        async def working() -> T:
            return await work(self._session())

        return asyncio.run_coroutine_threadsafe(working(), self._loop).result()

    async def _call(self, call: Call, answers: "queue.Queue[Answered]") -> None:
        answer: Answer
        began = time.monotonic()
        TRACEPARENT.set(call.traceparent)
        try:
            answer = await self._ask_or_send(call)
        except ProviderError as error:
            answer = error
        except Exception as error:  # our own fault, and a byte may have left: the invoice must not hang in SENDING
            log.exception("[providerCallBroke]", **call.about)
            answer = Uncertain("bug", type(error).__name__)
        exchange = LAST.get()
        response = {"status": exchange.status, "code": exchange.code, "text": exchange.text} if exchange else None
        answered = Answered(call, answer, clock.now(), response, time.monotonic() - began)
        answers.put(answered)
        _tell(answered)

    async def _ask_or_send(self, call: Call) -> Answer:
        provider = build(call.provider, call.account, self._session(), **overrides())
        if not call.is_send:
            return await provider.find(call.reference)
        START_BY.set(call.start_by)
        return await provider.issue(read(call.document))

    def _session(self) -> Http:
        if self._http is None:
            self._http = Http()
        return self._http


def _tell(answered: Answered) -> None:
    """One line a call: which, of whom, how it went and how long it took."""
    call, response = answered.call, answered.response or {}
    log.info(
        "[providerCall]",
        act=call.act,
        provider=call.provider,
        attempt=call.attempt,
        outcome=answered.outcome,
        code=getattr(answered.answer, "code", None) if isinstance(answered.answer, ProviderError) else None,
        number=getattr(answered.answer, "number", None),
        status=response.get("status"),
        seconds=answered.seconds,
        **call.about,
    )


_wire: Wire | None = None
_making = threading.Lock()


def wire() -> Wire:
    global _wire
    with _making:
        _wire = _wire or Wire()
    return _wire
