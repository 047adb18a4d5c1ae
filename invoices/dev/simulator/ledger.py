"""The simulated vendor's data: tenants, their symbols, and every invoice that it has numbered."""

import hashlib
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

VN_OFFSET_MS = 7 * 3_600_000
DAY_MS = 86_400_000
EPOCH = date(1970, 1, 1)


class Row:
    """One invoice. The request is kept compressed, to render the files: a million rows must fit in memory."""

    __slots__ = ("at", "code_at", "day", "key", "number", "packed", "rejected", "series", "total")

    def __init__(self, series: "Series", key: str, number: int, day: int, total: int, body: bytes, at: float) -> None:
        self.series, self.key, self.number, self.day, self.total, self.at = series, key, number, day, total, at
        self.packed = zlib.compress(body, 1)
        self.code_at = at  # epoch seconds from which the tax authority's answer is known
        self.rejected = False

    @property
    def body(self) -> bytes:
        return zlib.decompress(self.packed)

    @property
    def invoice_no(self) -> str:
        return f"{self.series.symbol}{self.number}"

    @property
    def lookup_code(self) -> str:
        return self._digest(b"lookup").hex().upper()[:15]

    @property
    def issue_date(self) -> date:
        return EPOCH + timedelta(days=self.day)

    def code(self, now: float) -> str:
        """The tax authority's code: 34 characters, or 23 for a cash register's symbol; "" until it answers."""
        if self.rejected or now < self.code_at or self.series.symbol.startswith("K"):
            return ""
        if self.series.symbol[3:4] == "M":
            return f"M{self.series.form}-{self.series.symbol[1:3]}-{self.series.block}-{self.number:011d}"
        return self._digest(b"code").hex().upper()[:34]

    def status(self, now: float) -> str:
        if self.series.symbol.startswith("K"):
            return "INVOICE_NO_CODE_APPROVED"
        if now < self.code_at:
            return "INVOICE_HAS_CODE_SENT"
        return "INVOICE_HAS_CODE_DISAPPROVED" if self.rejected else "INVOICE_HAS_CODE_APPROVED"

    def _digest(self, what: bytes) -> bytes:
        return hashlib.blake2b(f"{self.series.owner}{self.invoice_no}".encode(), key=what, digest_size=17).digest()

    def to_json(self, now: float) -> dict[str, Any]:
        return {
            "tenant": self.series.owner,
            "template": self.series.template,
            "symbol": self.series.symbol,
            "number": self.number,
            "transactionUuid": self.key,
            "total": self.total,
            "issueDate": self.issue_date.isoformat(),
            "code": self.code(now),
            "rejected": self.rejected,
            "at": self.at,
        }


@dataclass(slots=True)
class Series:
    """One symbol: numbers from 1 without a gap, dates that never decrease."""

    owner: str
    template: str
    symbol: str
    quota: int | None = None
    active: bool = True
    block: str = "HOADN"  # the cash register's five characters
    last_day: int = 0  # days since 1970 in Việt Nam
    rows: list[Row] = field(default_factory=list, repr=False)

    @property
    def form(self) -> str:
        return self.template[:1]


@dataclass(slots=True)
class Tenant:
    tax_code: str
    username: str
    password: str = field(repr=False)
    name: str = "Công ty TNHH Mẫu"
    address: str = "1 Phố Mẫu, Phường Hoàn Kiếm, Hà Nội"
    latency: float | None = None  # seconds; None: the simulator's
    certificate_expires: date | None = None
    series: dict[tuple[str, str], Series] = field(default_factory=dict, repr=False)

    def update(self, fields: dict[str, Any]) -> None:
        """Change settings; the symbols keep their numbers and invoices."""
        for name in ("username", "password", "name", "address"):
            setattr(self, name, fields.get(name, getattr(self, name)))
        if "latency" in fields:
            self.latency = None if fields["latency"] is None else fields["latency"] / 1000
        if "certificateExpires" in fields:
            expires = fields["certificateExpires"]
            self.certificate_expires = date.fromisoformat(expires) if expires else None
        for one in fields.get("series", ()):
            key = (one.get("template", "1/001"), one["symbol"])
            series = self.series.setdefault(key, Series(self.tax_code, *key))
            series.quota = one.get("quota", series.quota)
            series.active = one.get("active", series.active)


class Ledger:
    def __init__(self) -> None:
        self.tenants: dict[str, Tenant] = {}
        self.rows: list[Row] = []
        self.by_key: dict[tuple[str, str], Row] = {}

    def upsert_tenant(self, fields: dict[str, Any]) -> Tenant:
        """By tax code: {taxCode, username?, password, name?, latency? (ms), series: [{template, symbol, quota?}]}."""
        tax_code = fields["taxCode"]
        tenant = self.tenants.get(tax_code)
        if tenant is None:
            tenant = self.tenants[tax_code] = Tenant(tax_code, fields.get("username", tax_code), fields["password"])
        tenant.update(fields)
        return tenant

    def commit(self, series: Series, key: str, day: int, total: int, body: bytes) -> Row:
        """Give a number and store the row, without an await between them, so no number is lost or given twice."""
        row = Row(series, key, len(series.rows) + 1, day, total, body, time.time())
        series.last_day = day
        series.rows.append(row)
        self.rows.append(row)
        self.by_key[series.owner, key] = row
        return row

    def find_by_key(self, tax_code: str, key: str) -> Row | None:
        return self.by_key.get((tax_code, key))

    def find_by_number(self, tax_code: str, template: str, invoice_no: str) -> Row | None:
        tenant = self.tenants.get(tax_code)
        for series in tenant.series.values() if tenant else ():
            number = invoice_no.removeprefix(series.symbol)
            if series.template == template and number != invoice_no and number.isdecimal():
                return series.rows[int(number) - 1] if 0 < int(number) <= len(series.rows) else None
        return None

    def list_rows(self, since: int = 0, limit: int | None = None) -> list[dict[str, Any]]:
        now = time.time()
        stop = None if limit is None else since + limit
        return [row.to_json(now) for row in self.rows[since:stop]]

    def summary(self) -> dict[str, Any]:
        """Counts, and the violations: two invoices for one reference, gaps in numbers, dates that decrease."""
        keys = Counter((row.series.owner, row.key) for row in self.rows)
        all_series = [series for tenant in self.tenants.values() for series in tenant.series.values()]
        return {
            "invoices": len(self.rows),
            "total": sum(row.total for row in self.rows),
            "duplicates": {key: count for (_, key), count in keys.items() if count > 1},
            "gaps": sum(row.number != at for series in all_series for at, row in enumerate(series.rows, 1)),
            "backwards": sum(
                later.day < row.day
                for series in all_series
                for row, later in zip(series.rows, series.rows[1:], strict=False)
            ),
            "series": [
                {"tenant": one.owner, "template": one.template, "symbol": one.symbol, "invoices": len(one.rows)}
                for one in all_series
            ],
        }


def day_of(milliseconds: int) -> int:
    """Epoch milliseconds → days since 1970 in Việt Nam, whose offset has not changed since 1975."""
    return (milliseconds + VN_OFFSET_MS) // DAY_MS
