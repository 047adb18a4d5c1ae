"""The simulated vendor on a socket of 127.0.0.1: as a process, or in a thread of a test."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

from aiohttp import web

from invoices.dev.simulator.answers import Cut, json_answer
from invoices.dev.simulator.vendor import Settings, Vendor

ADMIN = "/simulator/"
LARGEST_REQUEST = 8 << 20
T = TypeVar("T")


class Simulator:
    """Start it inside a running loop, or in a thread of its own (`start`/`stop`, `running`).

    The verbs below are safe from any thread and say what the admin API says.
    """

    def __init__(self, port: int = 0, *, tenants: Iterable[Mapping[str, Any]] = (), seed: int | None = None) -> None:
        self.port, self._tenants, self._seed = port, list(tenants), seed
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self.vendor: Vendor

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def open(self) -> None:
        """Listen. OSError: the port is taken."""
        self._loop = asyncio.get_running_loop()
        self.vendor = Vendor(Settings(), seed=self._seed)
        for tenant in self._tenants:
            self.vendor.ledger.upsert(dict(tenant))
        # The bare server: an Application's routing would cost a third of the requests a second.
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, backlog=2048)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        self.vendor.stopping.set()
        await self._runner.cleanup()

    def start(self) -> "Simulator":
        """In a thread of its own. OSError: the port is taken."""
        listening: Future[None] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._live(listening)), name="simulator", daemon=True
        )
        self._thread.start()
        listening.result()
        return self

    def stop(self) -> None:
        if self._loop and self._thread:
            self._loop.call_soon_threadsafe(self._done.set)
            self._thread.join()

    async def _live(self, listening: Future[None]) -> None:
        self._done = asyncio.Event()
        try:
            await self.open()
        except OSError as error:
            listening.set_exception(error)
            return
        listening.set_result(None)
        await self._done.wait()
        await self.close()

    def faults(self, mode: str, **rule: Any) -> None:
        """faults("429", probability=0.1, tenant="…", count=3, seconds=2): see faults.py."""
        self._do(lambda: self.vendor.faults.add({"mode": mode, **rule}))

    def calm(self) -> None:
        """No fault from now on."""
        self._do(self.vendor.faults.rules.clear)

    def settings(self, **changes: Any) -> dict[str, Any]:
        """latency (ms), personality, settle, token_life, window (s); answers with all of them."""
        return self._do(lambda: self.configure(changes))

    def tenants(self, told: Iterable[Mapping[str, Any]]) -> None:
        self._do(lambda: [self.vendor.ledger.upsert(dict(one)) for one in told])

    def ledger(self, since: int = 0, limit: int | None = None) -> list[dict[str, Any]]:
        return self._do(lambda: self.vendor.ledger.told(since, limit))

    def summary(self) -> dict[str, Any]:
        return self._do(self.vendor.ledger.summary)

    def stats(self) -> dict[str, int]:
        return self._do(lambda: dict(self.vendor.stats))

    def configure(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """`settings` for the loop's own thread. ValueError: no such setting."""
        settings = self.vendor.settings
        for name, value in changes.items():
            if name not in Settings.__slots__:
                raise ValueError(f"no such setting: {name}")
            if name == "personality" and value not in ("strict", "forgetful"):
                raise ValueError(f"no such personality: {value}")
            setattr(settings, name, value / 1000 if name == "latency" else value)
        return {name: getattr(settings, name) for name in Settings.__slots__} | {"latency": settings.latency * 1000}

    def _do(self, act: Callable[[], T]) -> T:
        """Run in the loop's thread: the vendor's state has one owner."""

        async def once() -> T:
            return act()

        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(once(), self._loop).result()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        raw = await _body(request)
        try:
            if path.startswith(ADMIN):
                return self._admin(request.method, path.removeprefix(ADMIN), request.query, raw)
            return await self.vendor.answer(path, request.headers, raw)
        except Cut:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()  # goes nowhere
        except (ValueError, KeyError, TypeError) as error:
            return json_answer({"code": 400, "message": "INVALID_INPUT", "data": repr(error)}, 400)

    def _admin(self, method: str, what: str, query: Mapping[str, str], raw: bytes) -> web.Response:
        """No secret asked: it listens on the loopback only."""
        vendor, told = self.vendor, json.loads(raw) if raw else None
        if what == "faults":
            if method == "DELETE":
                vendor.faults.rules.clear()
            for one in _list(told):
                vendor.faults.add(one)
            return json_answer(
                [
                    {"mode": rule.mode, "probability": rule.probability, "tenant": rule.tenant, "drawn": rule.drawn}
                    for rule in vendor.faults.rules
                ]
            )
        if what == "tenants":
            for one in _list(told):
                vendor.ledger.upsert(one)
            return json_answer([tenant.tax_code for tenant in vendor.ledger.tenants.values()])
        if what == "ledger":
            if "summary" in query:
                return json_answer(vendor.ledger.summary())
            limit = int(query["limit"]) if "limit" in query else None
            return json_answer(vendor.ledger.told(int(query.get("since", 0)), limit))
        if what == "settings":
            return json_answer(self.configure(told or {}))
        if what == "stats":
            return json_answer(dict(vendor.stats))
        return json_answer({"code": 404, "message": "NOT_FOUND"}, 404)


@contextmanager
def running(port: int = 0, *, tenants: Iterable[Mapping[str, Any]] = (), **settings: Any) -> Iterator[Simulator]:
    """A simulator in a thread: `with running(tenants=[…], latency=20) as sim: sim.url`."""
    simulator = Simulator(port, tenants=tenants).start()
    try:
        simulator.settings(**settings)
        yield simulator
    finally:
        simulator.stop()


async def _body(request: web.BaseRequest) -> bytes:
    request._client_max_size = LARGEST_REQUEST  # the bare server has no other way to say it
    return await request.read()


def _list(told: Any) -> list[dict[str, Any]]:
    return told if isinstance(told, list) else [told] if told else []
