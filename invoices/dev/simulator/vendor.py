"""The simulated vendor: callers, endpoints and faults. It sees requests, no sockets."""

import asyncio
import base64
import json
import secrets
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from invoices.dev.simulator import reads
from invoices.dev.simulator.answers import ConnectionCut, garble, gateway_error, json_answer
from invoices.dev.simulator.create import Creator
from invoices.dev.simulator.faults import Endpoint, Fault, Faults, Mode
from invoices.dev.simulator.ledger import Ledger, Tenant
from invoices.dev.simulator.settings import Settings

INVOICES = "/services/einvoiceapplication/api/InvoiceAPI"
CREATE_PATH = f"{INVOICES}/InvoiceWS/createInvoice/"
LIST_PATH = f"{INVOICES}/InvoiceUtilsWS/getAllInvoices/"
PATHS = {
    "/auth/login": Endpoint.LOGIN,
    f"{INVOICES}/InvoiceWS/searchInvoiceByTransactionUuid": Endpoint.SEARCH,
    f"{INVOICES}/InvoiceUtilsWS/getAllInvoiceTemplates": Endpoint.TEMPLATES,
    f"{INVOICES}/InvoiceUtilsWS/getInvoiceRepresentationFile": Endpoint.FILE,
}


class Vendor:
    def __init__(self, settings: Settings, *, seed: int | None = None) -> None:
        self.settings, self.ledger, self.faults = settings, Ledger(), Faults(seed)
        self.stats: Counter[str] = Counter()
        self.stopping = asyncio.Event()
        self._tokens: dict[str, tuple[Tenant, float]] = {}
        self._creator = Creator(settings, self.ledger, self.faults.dice, self._refuse, self.stopping)

    async def answer(self, path: str, headers: Mapping[str, str], raw: bytes) -> web.Response:
        """Raises ConnectionCut if the connection is to be closed instead."""
        endpoint = _endpoint_of(path)
        if endpoint is None:
            return json_answer({"code": 404, "message": "NOT_FOUND", "data": None}, 404)
        self.stats[endpoint] += 1
        tenant = self._find_user(raw) if endpoint == Endpoint.LOGIN else self._find_caller(headers)
        fault = self._draw_fault(endpoint, tenant, headers)
        if fault and (early := await self._fail_early(fault, tenant)):
            return early
        if endpoint == Endpoint.LOGIN:
            return self._login(tenant, raw)
        if tenant is None:
            return json_answer({"code": 401, "message": "UNAUTHORIZED", "data": "Token hết hạn"}, 401)
        if endpoint == Endpoint.CREATE:
            answer = await self._creator.create(tenant, path[len(CREATE_PATH) :], raw, fault)
        elif endpoint == Endpoint.SEARCH:
            answer = reads.search(self.ledger, tenant, dict(parse_qsl(raw.decode())), fault, self._refuse)
        elif endpoint == Endpoint.LIST:
            answer = reads.list_invoices(tenant, path[len(LIST_PATH) :], json.loads(raw), self._refuse)
        elif endpoint == Endpoint.FILE:
            answer = reads.read_file(self.ledger, tenant, json.loads(raw), fault, self._refuse)
        else:
            answer = reads.list_templates(tenant)
        return garble(answer, self.faults.dice) if fault and fault.mode == Mode.BAD_BODY else answer

    def _refuse(self, code: str, text: str) -> web.Response:
        """One of the vendor's two shapes of a refusal, at random."""
        self.stats[f"refused {code}"] += 1
        if self.faults.dice.random() < 0.5:
            return json_answer({"code": 400, "message": code, "data": text}, 400)
        return json_answer({"errorCode": code, "description": text, "result": None})

    def _draw_fault(self, endpoint: Endpoint, tenant: Tenant | None, headers: Mapping[str, str]) -> Fault | None:
        header = headers.get("X-Simulator-Fault")
        if not self.faults.rules and not header:
            return None
        fault = self.faults.draw(endpoint, tenant.tax_code if tenant else None, header)
        if fault:
            self.stats[f"fault {fault.mode}"] += 1
            if fault.seconds is None:
                fault.seconds = self.settings.settle * 0.8
        return fault

    async def _fail_early(self, fault: Fault, tenant: Tenant | None) -> web.Response | None:
        """The answer of a fault that comes before any work; None if the work goes on."""
        match fault.mode:
            case Mode.DROP_BEFORE:
                raise ConnectionCut
            case Mode.TIMEOUT_BEFORE:
                await self._wait(3600)
                raise ConnectionCut
            case Mode.HANG:
                await self._wait(fault.seconds or 0)
            case Mode.ERROR_BEFORE | Mode.LOOKUP_ERROR:
                return gateway_error(self.faults.dice)
            case Mode.IP_BLOCKED:
                return web.Response(status=500)
            case Mode.TOO_MANY_REQUESTS:
                return web.Response(status=429, headers={"Retry-After": "1"})
            case Mode.TOKEN_EXPIRED:
                self._tokens = {token: held for token, held in self._tokens.items() if held[0] is not tenant}
                return json_answer({"code": 401, "message": "UNAUTHORIZED", "data": "Token hết hạn"}, 401)
        return None

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)

    def _find_user(self, raw: bytes) -> Tenant | None:
        name = json.loads(raw).get("username")
        return next((tenant for tenant in self.ledger.tenants.values() if tenant.username == name), None)

    def _find_caller(self, headers: Mapping[str, str]) -> Tenant | None:
        """By cookie, bearer or basic: the vendor accepts all three."""
        _, found, token = headers.get("Cookie", "").partition("access_token=")
        if not found:
            kind, _, token = headers.get("Authorization", "").partition(" ")
            if kind.lower() == "basic":
                name, _, password = base64.b64decode(token).decode().partition(":")
                tenants = self.ledger.tenants.values()
                return next((one for one in tenants if (one.username, one.password) == (name, password)), None)
        tenant, until = self._tokens.get(token.partition(";")[0], (None, 0.0))
        return tenant if time.monotonic() < until else None

    def _login(self, tenant: Tenant | None, raw: bytes) -> web.Response:
        if tenant is None or json.loads(raw).get("password") != tenant.password:
            return json_answer({"code": 401, "message": "INVALID_USER_PASSWORD", "data": "Sai tài khoản"}, 401)
        self.stats["logins"] += 1
        token, life = secrets.token_urlsafe(24), self.settings.token_life
        self._tokens[token] = tenant, time.monotonic() + life
        payload: dict[str, Any] = {
            "access_token": token,
            "token_type": "bearer",
            "refresh_token": secrets.token_urlsafe(24),
            "expires_in": life,
            "scope": "openid",
            "iat": int(time.time()),
            "invoice_cluster": "c1",
        }
        return json_answer(payload)


def _endpoint_of(path: str) -> Endpoint | None:
    if path.startswith(CREATE_PATH):
        return Endpoint.CREATE
    if path.startswith(LIST_PATH):
        return Endpoint.LIST
    return PATHS.get(path)
