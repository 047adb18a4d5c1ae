"""The vendor's behaviour: who may call, what is issued, what goes wrong. It knows requests, not sockets."""

import asyncio
import base64
import json
import secrets
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from config.base import clock
from invoices.dev.simulator import paper
from invoices.dev.simulator.answers import (
    BEING_PROCESSED,
    KEY_USED,
    REFUSALS,
    WRONG_SELLER,
    Cut,
    garbled,
    gateway,
    json_answer,
)
from invoices.dev.simulator.checks import fault_of
from invoices.dev.simulator.faults import CREATE, FILE, LIST, LOGIN, SEARCH, TEMPLATES, Fault, Faults
from invoices.dev.simulator.ledger import Ledger, Row, Series, Tenant, day_of

INVOICES = "/services/einvoiceapplication/api/InvoiceAPI"
CREATE_PATH = f"{INVOICES}/InvoiceWS/createInvoice/"
LIST_PATH = f"{INVOICES}/InvoiceUtilsWS/getAllInvoices/"
ENDPOINTS = {
    "/auth/login": LOGIN,
    f"{INVOICES}/InvoiceWS/searchInvoiceByTransactionUuid": SEARCH,
    f"{INVOICES}/InvoiceUtilsWS/getAllInvoiceTemplates": TEMPLATES,
    f"{INVOICES}/InvoiceUtilsWS/getInvoiceRepresentationFile": FILE,
}


@dataclass(slots=True, kw_only=True)
class Settings:
    """`personality`: "strict" refuses a known key for ever, "forgetful" answers it with the same invoice and
    takes it for a new one once `window` is over. Times in seconds."""

    latency: float = 0.0
    personality: str = "strict"
    settle: float = 5.0  # how late, at the most, a fault's consequence shows; a client must wait longer
    token_life: float = 298.0
    window: float = 3 * 86400.0


class Vendor:
    def __init__(self, settings: Settings, *, seed: int | None = None) -> None:
        self.settings, self.ledger, self.faults = settings, Ledger(), Faults(seed)
        self.stats: Counter[str] = Counter()
        self.stopping = asyncio.Event()
        self._tokens: dict[str, tuple[Tenant, float]] = {}
        self._pending: set[tuple[str, str]] = set()
        self._ids = 0

    async def answer(self, path: str, headers: Mapping[str, str], raw: bytes) -> web.Response:
        """Raises Cut where the connection is to be closed instead."""
        endpoint = CREATE if path.startswith(CREATE_PATH) else ENDPOINTS.get(path)
        if path.startswith(LIST_PATH):
            endpoint = LIST
        if endpoint is None:
            return json_answer({"code": 404, "message": "NOT_FOUND", "data": None}, 404)
        self.stats[endpoint] += 1
        tenant = self._named(raw) if endpoint == LOGIN else self._caller(headers)
        fault = self._draw(endpoint, tenant, headers)
        if fault and (early := await self._instead(fault, tenant)):
            return early
        if endpoint == LOGIN:
            return self._login(tenant, raw)
        if tenant is None:
            return json_answer({"code": 401, "message": "UNAUTHORIZED", "data": "Token hết hạn"}, 401)
        if endpoint == CREATE:
            answer = await self._create(tenant, path[len(CREATE_PATH) :], raw, fault)
        elif endpoint == SEARCH:
            answer = self._search(tenant, dict(parse_qsl(raw.decode())), fault)
        elif endpoint == LIST:
            answer = self._list(tenant, path[len(LIST_PATH) :], json.loads(raw))
        elif endpoint == FILE:
            answer = self._file(tenant, json.loads(raw), fault)
        else:
            answer = self._templates(tenant)
        return garbled(answer, self.faults.dice) if fault and fault.mode == "bad-body" else answer

    def _draw(self, endpoint: str, tenant: Tenant | None, headers: Mapping[str, str]) -> Fault | None:
        header = headers.get("X-Simulator-Fault")
        if not self.faults.rules and not header:
            return None
        fault = self.faults.draw(endpoint, tenant.tax_code if tenant else None, header)
        if fault:
            self.stats[f"fault {fault.mode}"] += 1
            if fault.seconds is None:
                fault.seconds = self.settings.settle * 0.8
        return fault

    async def _instead(self, fault: Fault, tenant: Tenant | None) -> web.Response | None:
        """The answer of faults that come before any work; None where the work goes on."""
        mode = fault.mode
        if mode == "drop-before":
            raise Cut
        if mode == "timeout-before":
            await self._wait(3600)
            raise Cut
        if mode == "hang":
            await self._wait(fault.seconds or 0)
        if mode == "5xx-before" or mode == "lookup-error":
            return gateway(self.faults.dice)
        if mode == "ip-blocked-500":
            return web.Response(status=500)
        if mode == "429":
            return web.Response(status=429, headers={"Retry-After": "1"})
        if mode == "token-expired":
            self._tokens = {token: held for token, held in self._tokens.items() if held[0] is not tenant}
            return json_answer({"code": 401, "message": "UNAUTHORIZED", "data": "Token hết hạn"}, 401)
        return None

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)

    def _named(self, raw: bytes) -> Tenant | None:
        name = json.loads(raw).get("username")
        return next((tenant for tenant in self.ledger.tenants.values() if tenant.username == name), None)

    def _login(self, tenant: Tenant | None, raw: bytes) -> web.Response:
        if tenant is None or json.loads(raw).get("password") != tenant.password:
            return json_answer({"code": 401, "message": "INVALID_USER_PASSWORD", "data": "Sai tài khoản"}, 401)
        self.stats["logins"] += 1
        token, life = secrets.token_urlsafe(24), self.settings.token_life
        self._tokens[token] = tenant, time.monotonic() + life
        told = {"access_token": token, "token_type": "bearer", "refresh_token": secrets.token_urlsafe(24)}
        return json_answer(
            told | {"expires_in": life, "scope": "openid", "iat": int(time.time()), "invoice_cluster": "c1"}
        )

    def _caller(self, headers: Mapping[str, str]) -> Tenant | None:
        """By cookie, bearer or basic: the vendor takes all three."""
        _, found, token = headers.get("Cookie", "").partition("access_token=")
        if not found:
            kind, _, token = headers.get("Authorization", "").partition(" ")
            if kind.lower() == "basic":
                name, _, password = base64.b64decode(token).decode().partition(":")
                known = self.ledger.tenants.values()
                return next((one for one in known if (one.username, one.password) == (name, password)), None)
        tenant, until = self._tokens.get(token.partition(";")[0], (None, 0.0))
        return tenant if time.monotonic() < until else None

    async def _create(self, tenant: Tenant, tax_code: str, raw: bytes, fault: Fault | None) -> web.Response:
        mode = fault.mode if fault else ""
        try:
            body = json.loads(raw, parse_float=Decimal)
            wrong = REFUSALS.get(mode) or fault_of(body) or self._unfit(tenant, tax_code, body)
        except (ValueError, KeyError, TypeError, AttributeError):
            return self._refusal("INVALID_INPUT", "Dữ liệu đầu vào không hợp lệ")
        if wrong:
            return self._refusal(*wrong)
        general = body["generalInvoiceInfo"]
        series = tenant.series[general["templateCode"], general["invoiceSeries"]]
        at = tenant.tax_code, general["transactionUuid"]
        if at in self._pending:
            return self._refusal(*BEING_PROCESSED)
        if mode != "forget-key" and (known := self._known(at)):
            return known
        self._pending.add(at)
        if mode in ("commit-late", "being-processed") and fault:
            asyncio.get_running_loop().call_later(fault.seconds or 0, self._commit_late, series, body, raw, at)
            if mode == "being-processed":
                return self._refusal(*BEING_PROCESSED)
            if self.faults.dice.random() < 0.5:
                raise Cut
            return gateway(self.faults.dice)
        try:
            latency = self.settings.latency if tenant.latency is None else tenant.latency
            if latency:
                await asyncio.sleep(latency)
            row = self._commit(series, body, raw)
        finally:
            self._pending.discard(at)
        return self._issued(row, fault) if isinstance(row, Row) else self._refusal(*row)

    def _unfit(self, tenant: Tenant, tax_code: str, body: dict[str, Any]) -> tuple[str, str] | None:
        general = body["generalInvoiceInfo"]
        template, symbol = general["templateCode"], general["invoiceSeries"]
        series = tenant.series.get((template, symbol))
        if tax_code != tenant.tax_code:
            return WRONG_SELLER
        if series is None:
            if all(known != symbol for _, known in tenant.series):
                return "INVOICE_SERIAL_NOT_FOUND", "Ký hiệu hóa đơn không tồn tại"
            return "TEMPLATE_NOT_FOUND", "Mẫu hóa đơn không tồn tại"
        if not series.active:
            return "1517", "Ký hiệu chưa kích hoạt"
        if tenant.certificate_expires and tenant.certificate_expires < clock.today_vn():
            return REFUSALS["cert-expired"]
        original = general.get("originalInvoiceId")
        if original and not self.ledger.numbered(tax_code, general.get("originalTemplateCode", ""), original):
            return "NOT_FOUND_DATA", "Không tìm thấy hóa đơn gốc"
        return None

    def _known(self, at: tuple[str, str]) -> web.Response | None:
        row = self.ledger.find(*at)
        if row is None:
            return None
        if self.settings.personality == "strict":
            return self._refusal(*KEY_USED)
        return self._success(row) if time.time() < row.at + self.settings.window else None

    def _commit(self, series: Series, body: dict[str, Any], raw: bytes) -> Row | tuple[str, str]:
        general, summary = body["generalInvoiceInfo"], body["summarizeInfo"]
        now = int(clock.now().timestamp() * 1000)
        instant = general.get("invoiceIssuedDate") or now
        if instant > now:
            return "INVOICE_ISSUED_DATE_OVER_CURRENT_TIME", "Ngày lập lớn hơn thời gian hiện tại"
        day = day_of(instant)
        if day < series.last_day:
            return REFUSALS["date-before-last"]
        if series.quota is not None and len(series.rows) >= series.quota:
            return REFUSALS["out-of-quota"]
        total = int(summary["totalAmountWithTax"]) * (1 if summary.get("isTotalAmountPos", True) else -1)
        return self.ledger.commit(series, general["transactionUuid"], day, total, raw)

    def _commit_late(self, series: Series, body: dict[str, Any], raw: bytes, at: tuple[str, str]) -> None:
        self._pending.discard(at)
        if not self.stopping.is_set() and self.ledger.find(*at) is None:
            self._commit(series, body, raw)

    def _issued(self, row: Row, fault: Fault | None) -> web.Response:
        mode = fault.mode if fault else ""
        if fault and mode in ("code-delayed", "cqt-rejected"):
            row.code_at, row.rejected = row.at + (fault.seconds or 0), mode == "cqt-rejected"
        if mode == "issue-then-drop":
            raise Cut
        if mode == "5xx-after-issue":
            return gateway(self.faults.dice)
        if mode == "duplicate-key":
            return self._refusal(*KEY_USED)
        return self._success(row)

    def _success(self, row: Row) -> web.Response:
        result = {
            "supplierTaxCode": row.series.owner,
            "invoiceNo": row.invoice_no,
            "transactionID": f"{row.at * 1000:.0f}{row.number}",
            "reservationCode": row.lookup_code,
            "codeOfTax": row.code(time.time()) or None,
        }
        return json_answer({"errorCode": None, "description": None, "result": result})

    def _refusal(self, code: str, text: str) -> web.Response:
        """One of the two shapes, as it comes."""
        self.stats[f"refused {code}"] += 1
        if self.faults.dice.random() < 0.5:
            return json_answer({"code": 400, "message": code, "data": text}, 400)
        return json_answer({"errorCode": code, "description": text, "result": None})

    def _search(self, tenant: Tenant, query: dict[str, str], fault: Fault | None) -> web.Response:
        now, row = time.time(), self.ledger.find(query.get("supplierTaxCode", ""), query.get("transactionUuid", ""))
        lag = fault.seconds or 0 if fault and fault.mode == "lookup-lag" else 0
        if row is None or row.series.owner != tenant.tax_code or now < row.at + lag:
            return self._refusal("NOT_FOUND_DATA", "Không tìm thấy dữ liệu")
        result = {
            "supplierTaxCode": row.series.owner,
            "invoiceNo": row.invoice_no,
            "reservationCode": row.lookup_code,
            "issueDate": row.day * 86_400_000 - 7 * 3_600_000,
            "status": "Hóa đơn đã phát hành",
            "exchangeStatus": row.status(now),
            "exchangeDes": "MST người mua không tồn tại" if row.rejected else None,
            "codeOfTax": row.code(now) or None,
        }
        told = {"errorCode": None, "description": None, "transactionUuid": row.key, "result": [result]}
        return json_answer(told)

    def _list(self, tenant: Tenant, tax_code: str, query: dict[str, Any]) -> web.Response:
        if tax_code != tenant.tax_code:
            return self._refusal(*WRONG_SELLER)
        if query["pageNum"] < 1:
            return json_answer({"code": 500, "message": "GENERAL", "data": None}, 500)  # as the real one does
        days = query["startDate"], query["endDate"]
        rows = [row for one in tenant.series.values() for row in one.rows if days[0] <= f"{row.issue_date}" <= days[1]]
        size, start = query["rowPerPage"], (query["pageNum"] - 1) * query["rowPerPage"]
        page = [
            {
                "invoiceNo": row.invoice_no,
                "templateCode": row.series.template,
                "total": row.total,
                "transactionUuid": row.key,
            }
            for row in rows[start : start + size]
        ]
        return json_answer({"errorCode": None, "description": None, "totalRow": len(rows), "invoices": page})

    def _templates(self, tenant: Tenant) -> web.Response:
        rows = [
            {
                "templateCode": one.template,
                "invoiceSeri": one.symbol,
                "invoiceType": one.form,
                "status": int(one.active),
            }
            for one in tenant.series.values()
        ]
        return json_answer({"errorCode": None, "description": None, "template": rows})

    def _file(self, tenant: Tenant, query: dict[str, Any], fault: Fault | None) -> web.Response:
        row = self.ledger.numbered(tenant.tax_code, query.get("templateCode", ""), query.get("invoiceNo", ""))
        if row is None or (fault and fault.mode == "file-not-ready"):
            return self._refusal("INVOICE_NOT_FOUND", "Không tìm thấy hóa đơn")
        code = row.code(time.time())
        if query.get("fileType") == "PDF":
            name, content = f"{row.invoice_no}.pdf", paper.pdf(tenant, row, code)
        else:
            name = f"{row.invoice_no}.zip"
            content = paper.zipped(paper.xml(tenant, row, code), row.invoice_no, nested=row.number % 3 == 0)
        told = {"errorCode": 200, "description": None, "fileName": name}
        return json_answer(told | {"fileToBytes": base64.b64encode(content).decode()})
