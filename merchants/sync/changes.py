"""A change of a merchant in, a Merchant and its TaxInfo out. Kafka, webhooks and operators come through here.

What is written is the difference from what we hold, whatever the envelope says was there before. Each merchant has
one MerchantChange row: it is the lock, it knows how far we have heard, and what we heard last.
"""

import json
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

from django.db import InterfaceError, OperationalError, connection, transaction
from structlog.stdlib import get_logger

from config.base import clock
from merchants.models import Merchant, MerchantChange, TaxInfo
from merchants.sync import envelopes, tax_data
from merchants.sync.bulk_writer import Written
from merchants.sync.envelopes import UNAVAILABLE, Change, Position, Unreadable
from merchants.sync.messages import Message, Poison

log = get_logger(__name__)
# One text for all rows: five hundred rows as arrays of JSON would be quoted letter by letter.
KEEP = """
UPDATE merchants_merchantchange AS old
SET op = new.op, "row" = new."row", lsn = new.lsn, ts_ms = new.ts_ms, received_at = new.received_at
FROM jsonb_to_recordset(%s::jsonb)
    AS new(code text, op text, "row" jsonb, lsn bigint, ts_ms bigint, received_at timestamptz)
WHERE old.code = new.code
"""


class Outcome(StrEnum):
    STORED = "stored"
    UNCHANGED = "unchanged"
    STALE = "stale"  # we have heard something newer
    IGNORED = "ignored"  # a tombstone, a heartbeat


def apply(envelope: Any, *, source: str, key: bytes | None = None) -> Outcome:
    """Act on one envelope, in one transaction. `source` becomes the history's reason. Raises Unreadable."""
    change = envelopes.read(envelope, key)
    if change is None:
        return Outcome.IGNORED
    with transaction.atomic():
        held = Held([change.code])
        outcome = held.enter(change, source)
        held.keep()
    return outcome


def replay(code: str, *, source: str) -> Outcome:
    """Act once more on what we heard last. Raises MerchantChange.DoesNotExist."""
    with transaction.atomic():
        MerchantChange.objects.get(code=code, ts_ms__isnull=False)
        held = Held([code])
        heard = held.heard[code]
        outcome = held.store(Change(heard.op, code, heard.row, Position(heard.lsn, heard.ts_ms)), source)
        held.keep()
    return outcome


def take(messages: Sequence[Message]) -> list[Poison]:
    """Act on a batch from Kafka, in one transaction. Returns what nobody can act on."""
    changes: list[tuple[Message, Change]] = []
    poison: list[Poison] = []
    for message in messages:
        try:
            if change := envelopes.read(envelopes.decode(message.value), message.key):
                changes.append((message, change))
        except Unreadable as error:
            poison.append(Poison(message, str(error)))
    with transaction.atomic():
        held = Held(change.code for _, change in changes)
        try:
            with transaction.atomic():
                for message, change in changes:
                    held.enter(change, message.source)
                held.keep()
        except (OperationalError, InterfaceError):
            raise  # the database is going away: that is nobody's fault here
        except Exception:  # noqa: BLE001  (one of them is poison, or somebody made the same merchant in the meantime)
            poison += _one_by_one(changes)
    return poison


def _one_by_one(changes: list[tuple[Message, Change]]) -> list[Poison]:
    poison = []
    for message, change in changes:
        try:
            with transaction.atomic():
                held = Held([change.code])
                held.enter(change, message.source)
                held.keep()
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:  # noqa: BLE001  (its traceback could quote the data)
            log.error("[handleMerchantCDC]", source=message.source, error=type(error).__name__)
            poison.append(Poison(message, type(error).__name__))
    return poison


class Held:
    """What we hold of some merchants, under their locks. Needs a transaction.

    Changes are entered in our copies; `keep` writes them all, in the same few statements for one as for five hundred.
    """

    def __init__(self, codes: Iterable[str]) -> None:
        wanted = sorted(set(codes))
        known = MerchantChange.objects.filter(code__in=wanted).select_for_update(no_key=True).order_by("code")
        self.heard = {row.code: row for row in known}
        if new := [MerchantChange(code=code) for code in wanted if code not in self.heard]:
            MerchantChange.objects.bulk_create(new, ignore_conflicts=True)
            self.heard = {row.code: row for row in known.all()}
        found = Merchant.objects.filter(code__in=wanted).select_related("tax_info")
        self.merchants = {merchant.code: merchant for merchant in found}
        self.infos: dict[str, TaxInfo] = {m.code: m.tax_info for m in found if hasattr(m, "tax_info")}
        self.communes = tax_data.Communes()
        self._news: dict[str, MerchantChange] = {}
        self._written = Written()

    def enter(self, change: Change, source: str) -> Outcome:
        """Act on a change unless we have heard newer ones."""
        heard = self.heard[change.code]
        if not change.position.after(Position(heard.lsn, heard.ts_ms)):
            log.info("[handleMerchantCDC] op=%(op)s older than what we know, SKIP", op=change.op, merchant=change.code)
            return Outcome.STALE
        outcome = self.store(change, source)
        heard.op = change.op
        heard.row = envelopes.merged(change.row, heard.row or self._row(change.code)) or heard.row
        heard.lsn, heard.ts_ms, heard.received_at = change.position.lsn, change.position.ts_ms, clock.now()
        self._news[change.code] = heard
        return outcome

    def keep(self) -> None:
        """Write what was entered, and how far we have heard."""
        self._written.keep()
        news = [
            {"code": heard.code, "op": heard.op, "row": heard.row, "lsn": heard.lsn, "ts_ms": heard.ts_ms,
             "received_at": heard.received_at.isoformat()}
            for heard in self._news.values()
        ]  # fmt: skip
        with connection.cursor() as cursor:
            cursor.execute(KEEP, [json.dumps(news, ensure_ascii=False)])

    def store(self, change: Change, source: str) -> Outcome:
        """Enter the difference; where there is none, nothing."""
        merchant = self.merchants.get(change.code)
        news: dict[str, Any]
        fields: dict[str, Any]
        if change.op == "d":
            if merchant is None or merchant.deleted_at:
                return Outcome.UNCHANGED
            news, fields = {"deleted_at": clock.now()}, {}
        else:
            news, fields = self._difference(change, merchant)
        if merchant and not news and not fields:
            log.info("[handleMerchantCDC] op=%(op)s tax unchanged, SKIP", op=change.op, merchant=change.code)
            return Outcome.UNCHANGED
        if merchant is None:
            merchant = self.merchants[change.code] = Merchant(code=change.code)
        if news:
            self._written.enter(merchant, news, source)
        if fields:
            info = self.infos.setdefault(change.code, TaxInfo(merchant=merchant))
            self._written.enter(info, {**fields, "deleted_at": None}, source)
        told = ", ".join([*news, *(["tax data"] if fields else [])])
        log.info("[handleMerchantCDC] op=%(op)s stored", op=change.op, merchant=change.code, told=told)
        return Outcome.STORED

    def _difference(self, change: Change, merchant: Merchant | None) -> tuple[dict[str, Any], dict[str, Any]]:
        """What of the merchant, and which fields of its tax data, are to be written."""
        wanted: dict[str, Any] = {"deleted_at": None}
        if name := _text(change.row, "name") or ("" if merchant else change.code):
            wanted["name"] = name[:200]
        if status := _text(change.row, "status"):
            wanted["is_active"] = status.lower() == "active"
        info = self.infos.get(change.code)
        fields: dict[str, Any] = {}
        if _tells_tax(change.row):
            row = envelopes.merged(change.row, self.heard[change.code].row or self._row(change.code))
            tax, wanted["tax_problem"] = envelopes.tax_in(row), ""
            try:
                if isinstance(tax, dict):
                    fields = tax_data.read(tax, self.communes)
                elif info:
                    wanted["tax_problem"] = "The platform sends no tax data any more."
            except tax_data.BadTaxData as error:
                wanted["tax_problem"] = str(error)[:400]
        if fields and not tax_data.differences(info, fields):
            fields = {}
        news = {name: value for name, value in wanted.items() if merchant is None or getattr(merchant, name) != value}
        return news, fields

    def _row(self, code: str) -> dict[str, Any]:
        """What we hold, as the platform would tell it: for merchants that we knew before we followed."""
        info = self.infos.get(code)
        return {"metadata": {"tax": tax_data.told_by(info)}} if info else {}


def _text(row: dict[str, Any], name: str) -> str:
    value = row.get(name)
    return value.strip() if isinstance(value, str) and value != UNAVAILABLE else ""


def _tells_tax(row: dict[str, Any]) -> bool:
    """Whether the row says anything of tax data; what it leaves out or calls unavailable is unchanged."""
    metadata = row.get("metadata", UNAVAILABLE)
    return metadata != UNAVAILABLE and not (isinstance(metadata, dict) and metadata.get("tax") == UNAVAILABLE)
