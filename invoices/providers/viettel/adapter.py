"""Viettel SInvoice v2. Facts and their sources: reference/vn-providers.md section 2."""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from config.base.clock import day_vn
from invoices.providers.base import (
    Account,
    Document,
    Files,
    Found,
    Issued,
    Limits,
    Listed,
    Provider,
    ProviderError,
    Refused,
    Scope,
    Submitted,
    Unavailable,
    Uncertain,
)
from invoices.providers.http import LAST_EXCHANGE, MEGABYTE, Http, HttpAnswer, ServerFault, read_only, redact
from invoices.providers.viettel.login import Login
from invoices.providers.viettel.payload import build_payload, encode_json
from invoices.providers.viettel.refusals import ERRORS, Verdict, read_fault
from invoices.providers.viettel.zip_archive import extract_xml

API = "/services/einvoiceapplication/api/InvoiceAPI"
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
NUMBER = re.compile(r"([CK]\d\d[A-Z][A-Z0-9]{2})(\d{1,8})")  # "C26TAA123"
NOT_FOUND = "NOT_FOUND_DATA"  # the only code that proves "no such invoice"
PAGE = 200  # rows of a list
NO_FILE_YET = {NOT_FOUND, "INVOICE_NOT_FOUND"}


class Viettel(Provider):
    """Credentials: `username`, `password`. `limits` may be replaced on an instance."""

    limits = Limits(
        in_flight=4,
        lookups_in_flight=4,
        settle=60.0,
        key_unique_for=timedelta(days=3) - timedelta(hours=6),  # the vendor's three days less our margin
        connect=10.0,
        total=90.0,
    )
    errors: ClassVar[Mapping[str, Verdict]] = ERRORS
    lookup_page: ClassVar[str] = "https://vinvoice.viettel.vn/utilities/invoice-search"

    def __init__(self, account: Account, http: Http) -> None:
        super().__init__(account, http)
        self._base_url = account.base_url.rstrip("/")
        username, password = account.credentials.get("username", ""), account.credentials.get("password", "")
        self._login = Login.of(http, self._base_url, username, password, self.limits)

    async def issue(self, document: Document) -> Issued | Submitted:
        try:
            body = encode_json(build_payload(document)).encode()
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:  # a value without a form here
            reason = f"the document cannot be written: {type(error).__name__}"
            raise Refused("unwritable", reason, scope=Scope.ORDER, field="lines") from error
        answer = await self._post(f"/InvoiceWS/createInvoice/{quote(self.account.tax_code)}", body, JSON)
        result = self._checked(answer).get("result")
        if not isinstance(result, dict) or not result.get("invoiceNo"):
            raise Uncertain("no_number", "a success without a number")
        symbol, number = self._split_number(result["invoiceNo"])
        lookup, code = str(result.get("reservationCode") or ""), str(result.get("codeOfTax") or "")
        if code or symbol.startswith("K"):  # invoices of a K symbol need no code
            return Issued(number=number, symbol=symbol, code=code, lookup_code=lookup, lookup_url=self.lookup_page)
        return Submitted(number=number, symbol=symbol, lookup_code=lookup, lookup_url=self.lookup_page)

    async def find(self, reference: str) -> Found | None:
        query = urlencode({"supplierTaxCode": self.account.tax_code, "transactionUuid": reference}).encode()
        answer = await self._read("/InvoiceWS/searchInvoiceByTransactionUuid", query, FORM)
        if self._read_fault(answer.json())[0] == NOT_FOUND:
            return None
        rows = self._checked(answer).get("result")
        if rows == []:
            return None
        if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], dict):
            raise Uncertain("not_one_result", "the look-up returned neither one invoice nor none")
        return self._parse_found(rows[0])

    async def files(self, found: Found) -> Files:
        pdf, archive = await read_only(self._file(found, "PDF")), await read_only(self._file(found, "ZIP"))
        if not pdf.startswith(b"%PDF"):
            raise Unavailable("file_unreadable", "the file is not a PDF")
        return Files(pdf=pdf, xml=extract_xml(archive))

    async def issued_on(self, day: date) -> list[Listed]:
        listed: list[Listed] = []
        for page in count(1):  # the first page is 1; the vendor answers 500 for page 0
            query = {"startDate": f"{day}", "endDate": f"{day}", "rowPerPage": PAGE, "pageNum": page}
            path = f"/InvoiceUtilsWS/getAllInvoices/{quote(self.account.tax_code)}"
            answer = await read_only(self._read(path, encode_json(query).encode(), JSON, cap=10 * MEGABYTE))
            rows = self._checked(answer).get("invoices") or []
            listed += [self._parse_listed(row) for row in rows]
            if len(rows) < PAGE:
                break
        return listed

    def _parse_listed(self, row: Mapping[str, Any]) -> Listed:
        symbol, number = self._split_number(row.get("invoiceNo") or "")
        reference = str(row.get("transactionUuid") or "")
        return Listed(number=number, symbol=symbol, total=int(row.get("total") or 0), reference=reference)

    async def probe(self) -> None:
        body = encode_json({"taxCode": self.account.tax_code, "invoiceType": "all"}).encode()
        try:
            answer = await self._read("/InvoiceUtilsWS/getAllInvoiceTemplates", body, JSON)
            listed = self._checked(answer).get("template") or []
        except ServerFault as error:
            # The vendor answers an IP address that is not on its whitelist with 500 and no body.
            raise Unavailable(error.code, "check that our IP address is on the provider's whitelist") from None
        except Uncertain as error:
            raise Unavailable(error.code, error.message) from None
        mine = [row for row in listed if self.account.symbol in (row.get("invoiceSeri"), row.get("invoiceSeries"))]
        if not mine:
            raise _account_refused("INVOICE_SERIAL_NOT_FOUND", f"the symbol {self.account.symbol} is not registered")
        if not any(row.get("templateCode") == self.account.template for row in mine):
            names = ", ".join(str(row.get("templateCode")) for row in mine)
            raise _account_refused("TEMPLATE_NOT_FOUND", f"the template of the symbol {self.account.symbol} is {names}")
        if not any(row.get("status", 1) in (1, "1", True, "ACTIVE") for row in mine):
            raise _account_refused("1517", f"the symbol {self.account.symbol} is not active")

    async def _post(self, path: str, body: bytes, content_type: str, *, cap: int = MEGABYTE) -> HttpAnswer:
        """A call with a token. A 401 proves that nothing was done: it is repeated once after a new login."""
        for _ in range(2):
            token = await self._login.token()
            # Odoo's adapter sends the token as a cookie, others as a bearer: the vendor takes both.
            headers = {"Content-Type": content_type, "Cookie": f"access_token={token}"}
            try:
                answer = await self.http.post(f"{self._base_url}{API}{path}", body, headers, self.limits, cap=cap)
            except ServerFault as error:
                if b'"GENERAL"' in error.answer.body:  # some hosts answer so for an expired token
                    self._login.forget(token)
                raise
            if answer.status != 401:
                return answer
            self._login.forget(token)
        raise Refused("http_401", "the provider rejects its own new token", scope=Scope.ACCOUNT, login=True)

    async def _read(self, path: str, body: bytes, content_type: str, *, cap: int = MEGABYTE) -> HttpAnswer:
        """A call that changes nothing. Unlike a send it is repeated after a 500 that may mean an expired token."""
        try:
            return await self._post(path, body, content_type, cap=cap)
        except ServerFault as error:
            if b'"GENERAL"' not in error.answer.body:
                raise
            return await self._post(path, body, content_type, cap=cap)

    async def _file(self, found: Found, kind: str) -> bytes:
        body = encode_json(
            {
                "supplierTaxCode": self.account.tax_code,
                "invoiceNo": found.symbol + found.number,
                "templateCode": self.account.template,
                "fileType": kind,
            }
        ).encode()
        answer = await self._read("/InvoiceUtilsWS/getInvoiceRepresentationFile", body, JSON, cap=30 * MEGABYTE)
        payload = answer.json()
        code, text = self._read_fault(payload)
        if code in NO_FILE_YET:
            raise Unavailable(code, "the provider is still producing the file")
        if code:
            raise self._error(code, text)
        try:
            content = base64.b64decode(payload.get("fileToBytes") or "", validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise Unavailable("file_unreadable", "the file is not base64") from None
        if not content:
            raise Unavailable("file_not_ready", "the provider is still producing the file")
        return content

    def _checked(self, answer: HttpAnswer) -> dict[str, Any]:
        """The body of a success; raises the error of any other answer. HTTP 200 alone is not a success."""
        payload = answer.json()
        code, text = self._read_fault(payload)
        if code:
            raise self._error(code, text)
        if answer.status != 200:
            raise Uncertain(f"http_{answer.status}", "an answer without a code")
        return payload

    def _read_fault(self, payload: Mapping[str, Any]) -> tuple[str, str]:
        code, text = read_fault(payload)
        if exchange := LAST_EXCHANGE.get():
            exchange.code, exchange.text = code, text
        return code, text

    def _error(self, code: str, text: str) -> ProviderError:
        return self.errors.get(code, Uncertain)(code, text)

    def _parse_found(self, row: Mapping[str, Any]) -> Found:
        symbol, number = self._split_number(row.get("invoiceNo") or "")
        status, reason = str(row.get("exchangeStatus") or "").upper(), str(row.get("exchangeDes") or "")
        # Known: INVOICE_HAS_CODE_SENT, _NOT_SENT, _APPROVED, and a rejection whose spelling varies.
        rejected = "DISAPPROVED" in status or "NOT_APPROVED" in status or "REJECT" in status
        return Found(
            number=number,
            symbol=symbol,
            code=str(row.get("codeOfTax") or ""),
            lookup_code=str(row.get("reservationCode") or ""),
            lookup_url=self.lookup_page,
            issued_on=_day(row.get("issueDate")),
            seller_tax_code=row.get("supplierTaxCode") or None,
            rejected=(redact(reason) or status) if rejected else "",
        )

    def _split_number(self, invoice_no: str) -> tuple[str, str]:
        """ "C26TAA123" → ("C26TAA", "123"). A symbol may end in digits, so the account's own is tried first."""
        own, text = self.account.symbol, str(invoice_no)
        if text.startswith(own) and text[len(own) :].isdecimal():
            return own, text[len(own) :]
        if match := NUMBER.fullmatch(text):
            return match[1], match[2]
        raise Uncertain("no_number", "an invoice number that cannot be parsed")


def _account_refused(code: str, text: str) -> Refused:
    return Refused(code, text, scope=Scope.ACCOUNT)


def _day(instant: Any) -> date | None:
    """Epoch milliseconds, as a number or as digits → the day in Việt Nam; None for anything else."""
    if not str(instant).isdecimal():
        return None
    try:
        return day_vn(datetime.fromtimestamp(int(instant) // 1000, UTC))
    except (ValueError, OverflowError, OSError):  # beyond the calendar
        return None
