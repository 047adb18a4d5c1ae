"""An asyncio event loop in a separate thread, for HTTP only. The database connection stays in the caller's thread."""

import asyncio
import atexit
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, Protocol, TypeVar


class Session(Protocol):
    def close(self) -> Awaitable[None]: ...


S = TypeVar("S", bound=Session)
T = TypeVar("T")


class HttpLoop(Generic[S]):
    """One per process and use. The first call creates the thread and the session, which all calls share."""

    def __init__(self, name: str, open_session: Callable[[], S]) -> None:
        self._name, self._open_session = name, open_session
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session: S | None = None

    def start(self, work: Callable[[S], Coroutine[Any, Any, None]]) -> None:
        """Run `work` without waiting. It must deliver its result itself, for instance through a queue."""
        asyncio.run_coroutine_threadsafe(self._with_session(work), self._started_loop())

    def run(self, work: Callable[[S], Coroutine[Any, Any, T]]) -> T:
        """Run `work` and wait for its result."""
        return asyncio.run_coroutine_threadsafe(self._with_session(work), self._started_loop()).result()

    async def _with_session(self, work: Callable[[S], Coroutine[Any, Any, T]]) -> T:
        if self._session is None:
            self._session = self._open_session()
        return await work(self._session)

    def _started_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name=self._name, daemon=True).start()
                atexit.register(self._close)  # otherwise aiohttp logs an unclosed session after logging has shut down
            return self._loop

    def _close(self) -> None:
        if self._loop is not None and self._session is not None:
            asyncio.run_coroutine_threadsafe(_closing(self._session), self._loop).result(5)


async def _closing(session: Session) -> None:
    await session.close()
