"""createInvoice of the simulated vendor: check the request, give a number, and fail as the fault says."""

import asyncio
import json
import time
from decimal import Decimal
from random import Random
from typing import Any

from aiohttp import web

from config.base import clock
from invoices.dev.simulator.answers import (
    BEING_PROCESSED,
    KEY_USED,
    REFUSALS,
    WRONG_SELLER,
    ConnectionCut,
    Refusal,
    Refuse,
    gateway_error,
    json_answer,
)
from invoices.dev.simulator.checks import find_refusal
from invoices.dev.simulator.faults import Fault, Mode
from invoices.dev.simulator.ledger import Ledger, Row, Series, Tenant, day_of
from invoices.dev.simulator.settings import Settings


class Creator:
    def __init__(
        self, settings: Settings, ledger: Ledger, dice: Random, refuse: Refuse, stopping: asyncio.Event
    ) -> None:
        self.settings, self.ledger, self.dice, self.refuse, self.stopping = settings, ledger, dice, refuse, stopping
        self._pending: set[tuple[str, str]] = set()  # tenants' tax codes and keys

    async def create(self, tenant: Tenant, tax_code: str, raw: bytes, fault: Fault | None) -> web.Response:
        """Raises ConnectionCut if the connection is to be closed instead."""
        mode = fault.mode if fault else None
        try:
            body = json.loads(raw, parse_float=Decimal)
            refusal = (
                (REFUSALS.get(mode) if mode else None)
                or find_refusal(body)
                or self._check_account(tenant, tax_code, body)
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return self.refuse("INVALID_INPUT", "Dữ liệu đầu vào không hợp lệ")
        if refusal:
            return self.refuse(*refusal)
        general = body["generalInvoiceInfo"]
        series = tenant.series[general["templateCode"], general["invoiceSeries"]]
        key = tenant.tax_code, general["transactionUuid"]
        if key in self._pending:
            return self.refuse(*BEING_PROCESSED)
        if mode != Mode.FORGET_KEY and (known := self._answer_known_key(key)):
            return known
        self._pending.add(key)
        if fault and fault.mode in (Mode.COMMIT_LATE, Mode.BEING_PROCESSED):
            return self._commit_later(series, body, raw, key, fault)
        try:
            latency = self.settings.latency if tenant.latency is None else tenant.latency
            if latency:
                await asyncio.sleep(latency)
            row = self._commit(series, body, raw)
        finally:
            self._pending.discard(key)
        return self._answer_issued(row, fault) if isinstance(row, Row) else self.refuse(*row)

    def _check_account(self, tenant: Tenant, tax_code: str, body: dict[str, Any]) -> Refusal | None:
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
            return REFUSALS[Mode.CERTIFICATE_EXPIRED]
        original = general.get("originalInvoiceId")
        if original and not self.ledger.find_by_number(tax_code, general.get("originalTemplateCode", ""), original):
            return "NOT_FOUND_DATA", "Không tìm thấy hóa đơn gốc"
        return None

    def _answer_known_key(self, key: tuple[str, str]) -> web.Response | None:
        row = self.ledger.find_by_key(*key)
        if row is None:
            return None
        if self.settings.personality == "strict":
            return self.refuse(*KEY_USED)
        return _success(row) if time.time() < row.at + self.settings.window else None

    def _commit(self, series: Series, body: dict[str, Any], raw: bytes) -> Row | Refusal:
        general, summary = body["generalInvoiceInfo"], body["summarizeInfo"]
        now = int(clock.now().timestamp() * 1000)
        instant = general.get("invoiceIssuedDate") or now
        if instant > now:
            return "INVOICE_ISSUED_DATE_OVER_CURRENT_TIME", "Ngày lập lớn hơn thời gian hiện tại"
        day = day_of(instant)
        if day < series.last_day:
            return REFUSALS[Mode.DATE_BEFORE_LAST]
        if series.quota is not None and len(series.rows) >= series.quota:
            return REFUSALS[Mode.OUT_OF_QUOTA]
        total = int(summary["totalAmountWithTax"]) * (1 if summary.get("isTotalAmountPos", True) else -1)
        return self.ledger.commit(series, general["transactionUuid"], day, total, raw)

    def _commit_later(
        self, series: Series, body: dict[str, Any], raw: bytes, key: tuple[str, str], fault: Fault
    ) -> web.Response:
        asyncio.get_running_loop().call_later(fault.seconds or 0, self._commit_late, series, body, raw, key)
        if fault.mode == Mode.BEING_PROCESSED:
            return self.refuse(*BEING_PROCESSED)
        if self.dice.random() < 0.5:
            raise ConnectionCut
        return gateway_error(self.dice)

    def _commit_late(self, series: Series, body: dict[str, Any], raw: bytes, key: tuple[str, str]) -> None:
        self._pending.discard(key)
        if not self.stopping.is_set() and self.ledger.find_by_key(*key) is None:
            self._commit(series, body, raw)

    def _answer_issued(self, row: Row, fault: Fault | None) -> web.Response:
        mode = fault.mode if fault else None
        if fault and mode in (Mode.CODE_DELAYED, Mode.REJECTED_BY_TAX_AUTHORITY):
            row.code_at = row.at + (fault.seconds or 0)
            row.rejected = mode == Mode.REJECTED_BY_TAX_AUTHORITY
        if mode == Mode.ISSUE_THEN_DROP:
            raise ConnectionCut
        if mode == Mode.ERROR_AFTER_ISSUE:
            return gateway_error(self.dice)
        if mode == Mode.DUPLICATE_KEY:
            return self.refuse(*KEY_USED)
        return _success(row)


def _success(row: Row) -> web.Response:
    result = {
        "supplierTaxCode": row.series.owner,
        "invoiceNo": row.invoice_no,
        "transactionID": f"{row.at * 1000:.0f}{row.number}",
        "reservationCode": row.lookup_code,
        "codeOfTax": row.code(time.time()) or None,
    }
    return json_answer({"errorCode": None, "description": None, "result": result})
