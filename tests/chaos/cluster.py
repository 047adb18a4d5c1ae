"""A test module's own PostgreSQL and Valkey, which it may stop; a provider, a seller, and the processes it starts."""

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import environ
from django.db import connections

from invoices.dev.demo.processes import Processes, free_port
from invoices.dev.simulator import Simulator, running
from invoices.lifecycle import State
from invoices.models import Invoice
from merchants.models import Merchant
from tests import cast, template
from tests.chaos import servers

WAIT_TIMEOUT = 120


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: Any
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Cluster:
    root: Path
    ports: tuple[int, int]
    redis_url: str
    provider: Simulator
    seller: Merchant
    processes: Processes

    def pay(self, data: dict[str, Any] | None = None, webhook_id: str = "", port: int = 0) -> Response:
        """Send a signed payment over HTTP. Raises OSError if the connection fails or there is no response."""
        data = data or cast.payment(self.seller)
        event = {
            **cast.event("payment.succeeded", data),
            "timestamp": data["paidAt"],
        }  # the same body each time
        call = cast.signed(event, webhook_id=webhook_id)
        headers = {**call["headers"], "Content-Type": call["content_type"]}
        url = f"{self.url(port)}/v1/api/webhooks/internal"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, call["data"], headers), timeout=30) as response:
                return Response(response.status, response.headers, response.read())
        except urllib.error.HTTPError as response:
            return Response(response.code, response.headers, response.read())

    def url(self, port: int = 0) -> str:
        return f"http://127.0.0.1:{port or self.ports[0]}"


@contextmanager
def running_cluster(root: Path, blocker: Any, **environment: str) -> Iterator[Cluster]:
    """A cluster with tables and a seller, and none of our processes. Those that it starts get `environment`."""
    template.copy_to(root)
    database_url, redis_url = servers.start_postgres(root), servers.start_valkey(root)
    ours = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "HOADON_ENV": "development", **environment}
    before = {name: os.environ.get(name) for name in ours}
    os.environ |= ours
    suite = dict(connections["default"].settings_dict)
    connections["default"].close()
    connections["default"].settings_dict |= environ.Env.db_url_config(database_url)
    try:
        with blocker.unblock(), running() as provider, Processes(root / "logs") as processes:
            seller = cast.seller(url=provider.url, claim_window=0)
            provider.add_tenants([cast.tenant(seller)])
            yield Cluster(root, (free_port(0), free_port(0)), redis_url, provider, seller, processes)
    finally:
        connections["default"].close()
        connections["default"].settings_dict |= suite
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        servers.stop_valkey(redis_url)
        servers.stop_postgres(root)


def wait_until(condition: Callable[[], Any]) -> None:
    """Poll until the condition holds. Fails after WAIT_TIMEOUT seconds."""
    end = time.monotonic() + WAIT_TIMEOUT
    while not condition():
        assert time.monotonic() < end, f"the condition did not hold within {WAIT_TIMEOUT} s"
        time.sleep(0.1)


def all_issued() -> bool:
    return not Invoice.objects.exclude(state=State.ISSUED).exists()
