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
from invoices.providers.http import LAST, MEGABYTE, Answer, Http, ServerFault, reading, redacted
from invoices.providers.viettel.files import xml_in
from invoices.providers.viettel.login import Login
from invoices.providers.viettel.payload import encode, payload
from invoices.providers.viettel.refusals import ERRORS, Verdict, fault

API = "/services/einvoiceapplication/api/InvoiceAPI"
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
NUMBER = re.compile(r"([CK]\d\d[A-Z][A-Z0-9]{2})(\d{1,8})")  # "C26TAA123"
NOT_FOUND = "NOT_FOUND_DATA"  # the only word that we take for a positive "no such invoice"
PAGE = 200  # rows of a list
NO_FILE_YET = {NOT_FOUND, "INVOICE_NOT_FOUND"}


class Viettel(Provider):
    """Credentials: `username`, `password`. An instance may be given other `limits`."""

    limits = Limits(
        in_flight=4,
        asks_in_flight=4,
        settle=60.0,
        key_unique_for=timedelta(days=3) - timedelta(hours=6),  # three days at the vendor, less our margin
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
            body = encode(payload(document)).encode()
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:  # a rate or a number we cannot write
            reason = f"the document cannot be written: {type(error).__name__}"
            raise Refused("unwritable", reason, scope=Scope.ORDER, field="lines") from error
        answer = await self._post(f"/InvoiceWS/createInvoice/{quote(self.account.tax_code)}", body, JSON)
        result = self._checked(answer).get("result")
        if not isinstance(result, dict) or not result.get("invoiceNo"):
            raise Uncertain("no_number", "a success without a number")
        symbol, number = self._split(result["invoiceNo"])
        lookup, code = str(result.get("reservationCode") or ""), str(result.get("codeOfTax") or "")
        if code or symbol.startswith("K"):  # K: a symbol whose invoices need no code
            return Issued(number=number, symbol=symbol, code=code, lookup_code=lookup, lookup_url=self.lookup_page)
        return Submitted(number=number, symbol=symbol, lookup_code=lookup, lookup_url=self.lookup_page)

    async def find(self, reference: str) -> Found | None:
        query = urlencode({"supplierTaxCode": self.account.tax_code, "transactionUuid": reference}).encode()
        answer = await self._read("/InvoiceWS/searchInvoiceByTransactionUuid", query, FORM)
        told = answer.json()
        if self._fault(told)[0] == NOT_FOUND:
            return None
        rows = self._checked(answer).get("result")
        if rows == []:
            return None
        if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], dict):
            raise Uncertain("not_one_result", "the look-up gave neither one invoice nor none")
        return self._found(rows[0])

    async def files(self, found: Found) -> Files:
        pdf, archive = await reading(self._file(found, "PDF")), await reading(self._file(found, "ZIP"))
        if not pdf.startswith(b"%PDF"):
            raise Unavailable("file_unreadable", "the PDF is none")
        return Files(pdf=pdf, xml=xml_in(archive))

    async def issued_on(self, day: date) -> list[Listed]:
        listed: list[Listed] = []
        for page in count(1):  # the vendor counts from 1 and answers page 0 with a 500
            query = {"startDate": f"{day}", "endDate": f"{day}", "rowPerPage": PAGE, "pageNum": page}
            path = f"/InvoiceUtilsWS/getAllInvoices/{quote(self.account.tax_code)}"
            answer = await reading(self._read(path, encode(query).encode(), JSON, cap=10 * MEGABYTE))
            rows = self._checked(answer).get("invoices") or []
            listed += [self._listed(row) for row in rows]
            if len(rows) < PAGE:
                break
        return listed

    def _listed(self, row: Mapping[str, Any]) -> Listed:
        symbol, number = self._split(row.get("invoiceNo") or "")
        reference = str(row.get("transactionUuid") or "")
        return Listed(number=number, symbol=symbol, total=int(row.get("total") or 0), reference=reference)

    async def probe(self) -> None:
        body = encode({"taxCode": self.account.tax_code, "invoiceType": "all"}).encode()
        try:
            answer = await self._read("/InvoiceUtilsWS/getAllInvoiceTemplates", body, JSON)
            listed = self._checked(answer).get("template") or []
        except ServerFault as error:
            # To an address that is not on its list the vendor answers 500, without a word.
            raise Unavailable(error.code, "check that our IP address is on the provider's whitelist") from None
        except Uncertain as error:
            raise Unavailable(error.code, error.message) from None
        mine = [row for row in listed if self.account.symbol in (row.get("invoiceSeri"), row.get("invoiceSeries"))]
        if not mine:
            raise _unfit("INVOICE_SERIAL_NOT_FOUND", f"the symbol {self.account.symbol} is not registered")
        if not any(row.get("templateCode") == self.account.template for row in mine):
            names = ", ".join(str(row.get("templateCode")) for row in mine)
            raise _unfit("TEMPLATE_NOT_FOUND", f"the symbol {self.account.symbol} belongs to the template {names}")
        if not any(row.get("status", 1) in (1, "1", True, "ACTIVE") for row in mine):
            raise _unfit("1517", f"the symbol {self.account.symbol} is not active")

    async def _post(self, path: str, body: bytes, content_type: str, *, cap: int = MEGABYTE) -> Answer:
        """A call with a token. A 401 says that nothing was done, so it is repeated, once, after a new login."""
        for _ in range(2):
            token = await self._login.token()
            # Odoo's adapter sends the token as a cookie, others as a bearer: the vendor takes both.
            headers = {"Content-Type": content_type, "Cookie": f"access_token={token}"}
            try:
                answer = await self.http.post(f"{self._base_url}{API}{path}", body, headers, self.limits, cap=cap)
            except ServerFault as error:
                if b'"GENERAL"' in error.answer.body:  # some hosts say so of an expired token, others of anything
                    self._login.forget(token)
                raise
            if answer.status != 401:
                return answer
            self._login.forget(token)
        raise Refused("http_401", "the provider gives tokens and then rejects them", scope=Scope.ACCOUNT, login=True)

    async def _read(self, path: str, body: bytes, content_type: str, *, cap: int = MEGABYTE) -> Answer:
        """A call that changes nothing may be repeated where a send may not: after a 500 that can mean the token."""
        try:
            return await self._post(path, body, content_type, cap=cap)
        except ServerFault as error:
            if b'"GENERAL"' not in error.answer.body:
                raise
            return await self._post(path, body, content_type, cap=cap)

    async def _file(self, found: Found, kind: str) -> bytes:
        body = encode(
            {
                "supplierTaxCode": self.account.tax_code,
                "invoiceNo": found.symbol + found.number,
                "templateCode": self.account.template,
                "fileType": kind,
            }
        ).encode()
        answer = await self._read("/InvoiceUtilsWS/getInvoiceRepresentationFile", body, JSON, cap=30 * MEGABYTE)
        told = answer.json()
        code, text = self._fault(told)
        if code in NO_FILE_YET:
            raise Unavailable(code, "the provider still makes the file")
        if code:
            raise self._told(code, text)
        try:
            content = base64.b64decode(told.get("fileToBytes") or "", validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise Unavailable("file_unreadable", "the file is no base64") from None
        if not content:
            raise Unavailable("file_not_ready", "the provider still makes the file")
        return content

    def _checked(self, answer: Answer) -> dict[str, Any]:
        """The body of a success; raises what else it says. HTTP 200 alone is not success."""
        told = answer.json()
        code, text = self._fault(told)
        if code:
            raise self._told(code, text)
        if answer.status != 200:
            raise Uncertain(f"http_{answer.status}", "an answer without a code")
        return told

    def _fault(self, told: Mapping[str, Any]) -> tuple[str, str]:
        code, text = fault(told)
        if exchange := LAST.get():
            exchange.code, exchange.text = code, text
        return code, text

    def _told(self, code: str, text: str) -> ProviderError:
        return self.errors.get(code, Uncertain)(code, text)

    def _found(self, row: Mapping[str, Any]) -> Found:
        symbol, number = self._split(row.get("invoiceNo") or "")
        status, reason = str(row.get("exchangeStatus") or "").upper(), str(row.get("exchangeDes") or "")
        # Known words: INVOICE_HAS_CODE_SENT, _NOT_SENT, _APPROVED and a refusal, whose spelling varies.
        refused = "DISAPPROVED" in status or "NOT_APPROVED" in status or "REJECT" in status
        return Found(
            number=number,
            symbol=symbol,
            code=str(row.get("codeOfTax") or ""),
            lookup_code=str(row.get("reservationCode") or ""),
            lookup_url=self.lookup_page,
            issued_on=_day(row.get("issueDate")),
            seller_tax_code=row.get("supplierTaxCode") or None,
            rejected=(redacted(reason) or status) if refused else "",
        )

    def _split(self, invoice_no: str) -> tuple[str, str]:
        """ "C26TAA123" → ("C26TAA", "123"). A symbol may end in digits, so ours is tried first."""
        own, text = self.account.symbol, str(invoice_no)
        if text.startswith(own) and text[len(own) :].isdecimal():
            return own, text[len(own) :]
        if match := NUMBER.fullmatch(text):
            return match[1], match[2]
        raise Uncertain("no_number", "an invoice number that we cannot read")


def _unfit(code: str, text: str) -> Refused:
    return Refused(code, text, scope=Scope.ACCOUNT)


def _day(instant: Any) -> date | None:
    """Epoch milliseconds, as a number or as digits → the day in Việt Nam; anything else tells nothing."""
    if not str(instant).isdecimal():
        return None
    return day_vn(datetime.fromtimestamp(int(instant) // 1000, UTC))
