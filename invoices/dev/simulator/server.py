"""The simulated vendor on a socket of 127.0.0.1, as a process or in a thread of a test."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

from aiohttp import web

from invoices.dev.simulator.answers import ConnectionCut, json_answer
from invoices.dev.simulator.settings import Settings
from invoices.dev.simulator.vendor import Vendor

ADMIN = "/simulator/"
MAX_REQUEST_BYTES = 8 << 20
T = TypeVar("T")


class Simulator:
    """Runs inside a running loop (`open`, `close`) or in a thread of its own (`start`, `stop`, `running`).

    The methods from `add_fault` to `stats` are safe from any thread and correspond to the admin API.
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
        """Listen. Raises OSError if the port is taken."""
        self._loop = asyncio.get_running_loop()
        self.vendor = Vendor(Settings(), seed=self._seed)
        for tenant in self._tenants:
            self.vendor.ledger.upsert_tenant(dict(tenant))
        # A bare server: an Application's routing would cost a third of the throughput.
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, backlog=2048)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        self.vendor.stopping.set()
        await self._runner.cleanup()

    def start(self) -> "Simulator":
        """Listen in a thread of its own. Raises OSError if the port is taken."""
        listening: Future[None] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(listening)), name="simulator", daemon=True
        )
        self._thread.start()
        listening.result()
        return self

    def stop(self) -> None:
        if self._loop and self._thread:
            self._loop.call_soon_threadsafe(self._done.set)
            self._thread.join()

    async def _serve(self, listening: Future[None]) -> None:
        self._done = asyncio.Event()
        try:
            await self.open()
        except OSError as error:
            listening.set_exception(error)
            return
        listening.set_result(None)
        await self._done.wait()
        await self.close()

    def add_fault(self, mode: str, **rule: Any) -> None:
        """add_fault("429", probability=0.1, tenant="…", count=3, seconds=2): see faults.Rule."""
        self._call(lambda: self.vendor.faults.add_rule({"mode": mode, **rule}))

    def clear_faults(self) -> None:
        self._call(self.vendor.faults.rules.clear)

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Change latency (ms), personality, settle, token_life or window (s); returns all of them."""
        return self._call(lambda: self.configure(changes))

    def add_tenants(self, tenants: Iterable[Mapping[str, Any]]) -> None:
        self._call(lambda: [self.vendor.ledger.upsert_tenant(dict(tenant)) for tenant in tenants])

    def ledger(self, since: int = 0, limit: int | None = None) -> list[dict[str, Any]]:
        return self._call(lambda: self.vendor.ledger.list_rows(since, limit))

    def summary(self) -> dict[str, Any]:
        return self._call(self.vendor.ledger.summary)

    def stats(self) -> dict[str, int]:
        return self._call(lambda: dict(self.vendor.stats))

    def configure(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Like `settings`, for the loop's own thread. Raises ValueError if there is no such setting."""
        settings = self.vendor.settings
        for name, value in changes.items():
            if name not in Settings.__slots__:
                raise ValueError(f"no such setting: {name}")
            if name == "personality" and value not in ("strict", "forgetful"):
                raise ValueError(f"no such personality: {value}")
            setattr(settings, name, value / 1000 if name == "latency" else value)
        return {name: getattr(settings, name) for name in Settings.__slots__} | {"latency": settings.latency * 1000}

    def _call(self, function: Callable[[], T]) -> T:
        """Call a function in the loop's thread, which owns the vendor's state."""

        async def once() -> T:
            return function()

        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(once(), self._loop).result()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        raw = await _body(request)
        try:
            if path.startswith(ADMIN):
                return self._answer_admin(request.method, path.removeprefix(ADMIN), request.query, raw)
            return await self.vendor.answer(path, request.headers, raw)
        except ConnectionCut:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()  # is not sent
        except (ValueError, KeyError, TypeError) as error:
            return json_answer({"code": 400, "message": "INVALID_INPUT", "data": repr(error)}, 400)

    def _answer_admin(self, method: str, path: str, query: Mapping[str, str], raw: bytes) -> web.Response:
        """Without authentication: it listens on the loopback only."""
        vendor, payload = self.vendor, json.loads(raw) if raw else None
        if path == "faults":
            if method == "DELETE":
                vendor.faults.rules.clear()
            for one in _as_list(payload):
                vendor.faults.add_rule(one)
            return json_answer(
                [
                    {"mode": rule.mode, "probability": rule.probability, "tenant": rule.tenant, "drawn": rule.drawn}
                    for rule in vendor.faults.rules
                ]
            )
        if path == "tenants":
            for one in _as_list(payload):
                vendor.ledger.upsert_tenant(one)
            return json_answer([tenant.tax_code for tenant in vendor.ledger.tenants.values()])
        if path == "ledger":
            if "summary" in query:
                return json_answer(vendor.ledger.summary())
            limit = int(query["limit"]) if "limit" in query else None
            return json_answer(vendor.ledger.list_rows(int(query.get("since", 0)), limit))
        if path == "settings":
            return json_answer(self.configure(payload or {}))
        if path == "stats":
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
    request._client_max_size = MAX_REQUEST_BYTES  # a bare server has no other setting for it
    return await request.read()


def _as_list(payload: Any) -> list[dict[str, Any]]:
    return payload if isinstance(payload, list) else [payload] if payload else []
