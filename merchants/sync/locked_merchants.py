"""Our data of several merchants, locked, changed in memory, and written together."""

import json
from collections.abc import Iterable
from typing import Any

from django.db import connection
from structlog.stdlib import get_logger

from config.base import clock
from merchants.models import Merchant, MerchantChange, TaxInfo
from merchants.sync import parse_tax_data
from merchants.sync.bulk_writer import BulkWriter
from merchants.sync.envelopes import UNAVAILABLE, Change, fill_unavailable, tax_of

log = get_logger(__name__)
# One JSON text for all rows: arrays of JSON values would be escaped character by character.
SAVE_CHANGES = """
UPDATE merchants_merchantchange AS old
SET op = new.op, "row" = new."row", lsn = new.lsn, ts_ms = new.ts_ms, received_at = new.received_at
FROM jsonb_to_recordset(%s::jsonb)
    AS new(code text, op text, "row" jsonb, lsn bigint, ts_ms bigint, received_at timestamptz)
WHERE old.code = new.code
"""


class LockedMerchants:
    """Merchants under the locks of their MerchantChange rows. Needs a transaction.

    Changes are applied in memory; `flush` writes them, with as many statements for one change as for five hundred.
    """

    def __init__(self, codes: Iterable[str]) -> None:
        wanted = sorted(set(codes))
        rows = MerchantChange.objects.filter(code__in=wanted).select_for_update(no_key=True).order_by("code")
        self.last_changes = {row.code: row for row in rows}
        if new := [MerchantChange(code=code) for code in wanted if code not in self.last_changes]:
            MerchantChange.objects.bulk_create(new, ignore_conflicts=True)
            self.last_changes = {row.code: row for row in rows.all()}
        merchants = Merchant.objects.filter(code__in=wanted).select_related("tax_info")
        self.merchants = {merchant.code: merchant for merchant in merchants}
        self.infos: dict[str, TaxInfo] = {m.code: m.tax_info for m in merchants if hasattr(m, "tax_info")}
        self.communes = parse_tax_data.Communes()
        self._noted: dict[str, MerchantChange] = {}
        self._writer = BulkWriter()

    def apply_difference(self, change: Change, source: str) -> bool:
        """Apply what differs from our data. Returns whether anything does."""
        merchant = self.merchants.get(change.code)
        values: dict[str, Any]
        tax_fields: dict[str, Any]
        if change.op == "d":
            if merchant is None or merchant.deleted_at:
                return False
            values, tax_fields = {"deleted_at": clock.now()}, {}
        else:
            values, tax_fields = self._difference(change, merchant)
        if merchant and not values and not tax_fields:
            log.info("[handleMerchantCDC] op=%(op)s tax unchanged, SKIP", op=change.op, merchant=change.code)
            return False
        if merchant is None:
            merchant = self.merchants[change.code] = Merchant(code=change.code)
        if values:
            self._writer.apply(merchant, values, source)
        if tax_fields:
            info = self.infos.setdefault(change.code, TaxInfo(merchant=merchant))
            self._writer.apply(info, {**tax_fields, "deleted_at": None}, source)
        changed = ", ".join([*values, *(["tax data"] if tax_fields else [])])
        log.info("[handleMerchantCDC] op=%(op)s stored", op=change.op, merchant=change.code, changed=changed)
        return True

    def note_change(self, change: Change) -> None:
        """Remember a change and its position as the merchant's latest."""
        last = self._noted[change.code] = self.last_changes[change.code]
        last.op = change.op
        last.row = fill_unavailable(change.row, last.row or self._row(change.code)) or last.row
        last.lsn, last.ts_ms, last.received_at = change.position.lsn, change.position.ts_ms, clock.now()

    def flush(self) -> None:
        """Write what was applied and noted."""
        self._writer.flush()
        rows = [
            {"code": row.code, "op": row.op, "row": row.row, "lsn": row.lsn, "ts_ms": row.ts_ms,
             "received_at": row.received_at.isoformat()}
            for row in self._noted.values()
        ]  # fmt: skip
        with connection.cursor() as cursor:
            cursor.execute(SAVE_CHANGES, [json.dumps(rows, ensure_ascii=False)])

    def _difference(self, change: Change, merchant: Merchant | None) -> tuple[dict[str, Any], dict[str, Any]]:
        """The merchant's values and the tax data's fields that are to be written."""
        wanted: dict[str, Any] = {"deleted_at": None}
        if name := _text(change.row, "name") or ("" if merchant else change.code):
            wanted["name"] = name[:200]
        if status := _text(change.row, "status"):
            wanted["is_active"] = status.lower() == "active"
        info = self.infos.get(change.code)
        tax_fields: dict[str, Any] = {}
        if _has_tax_data(change.row):
            row = fill_unavailable(change.row, self.last_changes[change.code].row or self._row(change.code))
            tax, wanted["tax_problem"] = tax_of(row), ""
            try:
                if isinstance(tax, dict):
                    tax_fields = parse_tax_data.parse_fields(tax, self.communes)
                elif info:
                    wanted["tax_problem"] = "The platform no longer sends tax data."
            except parse_tax_data.BadTaxData as error:
                wanted["tax_problem"] = str(error)[:400]
        if tax_fields and not parse_tax_data.differing_fields(info, tax_fields):
            tax_fields = {}
        values = {name: value for name, value in wanted.items() if merchant is None or getattr(merchant, name) != value}
        return values, tax_fields

    def _row(self, code: str) -> dict[str, Any]:
        """Our data as the platform would send it: for merchants that are older than our first change."""
        info = self.infos.get(code)
        return {"metadata": {"tax": parse_tax_data.platform_row(info)}} if info else {}


def _text(row: dict[str, Any], name: str) -> str:
    value = row.get(name)
    return value.strip() if isinstance(value, str) and value != UNAVAILABLE else ""


def _has_tax_data(row: dict[str, Any]) -> bool:
    """Whether the row says anything about tax data; omitted or unavailable means unchanged."""
    metadata = row.get("metadata", UNAVAILABLE)
    return metadata != UNAVAILABLE and not (isinstance(metadata, dict) and metadata.get("tax") == UNAVAILABLE)
