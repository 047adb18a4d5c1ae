"""Write rows of several merchants together, each version with its history, as `save` would one by one."""

from typing import Any

from config.base import clock
from config.base.ids import new_ids
from config.base.records import update_rows
from merchants.models import Merchant, TaxInfo
from merchants.sync import parse_tax_data

ROWS_PER_STATEMENT = 1000
# Only what the platform decides: operators may be changing the other fields at the same time.
PLATFORM_FIELDS: dict[type, list[str]] = {
    Merchant: ["name", "is_active", "tax_problem", "deleted_at", "updated_at"],
    TaxInfo: [*(name.removesuffix("_id") for name in parse_tax_data.FIELDS.values()), "deleted_at", "updated_at"],
}
# Looked up once: simple-history's lookup is slow.
HISTORY: dict[type, Any] = {kind: kind.history.model for kind in PLATFORM_FIELDS}  # type: ignore[attr-defined]


class BulkWriter:
    def __init__(self) -> None:
        self._new: dict[type, list[Any]] = {Merchant: [], TaxInfo: []}
        self._old: dict[type, dict[int, Any]] = {Merchant: {}, TaxInfo: {}}
        self._versions: list[tuple[Any, dict[str, Any]]] = []  # the row, and its history's fields without the ids

    def apply(self, row: Merchant | TaxInfo, values: dict[str, Any], reason: str) -> None:
        """Change a row in memory. Each call adds one version to its history."""
        kind: Any = type(row)
        for name, value in values.items():
            setattr(row, name, value)
        row.updated_at = clock.now()
        if is_new := row._state.adding:
            self._new[kind].append(row)
            row._state.adding = False
        elif isinstance(row.pk, int):  # otherwise it is new, and `flush` gives it its id
            self._old[kind][row.pk] = row
        version = {f.attname: getattr(row, f.attname) for f in HISTORY[kind].tracked_fields}
        version |= {"history_date": row.updated_at, "history_change_reason": reason[:100]}
        self._versions.append((row, {**version, "history_type": "+" if is_new else "~"}))

    def flush(self) -> None:
        """Write everything in a few statements, however many rows there are."""
        new = [row for rows in self._new.values() for row in rows]
        for row, pk in zip(new, new_ids(len(new)) if new else [], strict=True):
            row.pk = pk
        for info in self._new[TaxInfo]:
            info.merchant_id = info.merchant.pk
        for kind in (Merchant, TaxInfo):
            model: Any = kind
            model.objects.bulk_create(self._new[kind], batch_size=ROWS_PER_STATEMENT)
            update_rows(list(self._old[kind].values()), PLATFORM_FIELDS[kind])
            history = HISTORY[kind]
            versions = [history(**version | _ids(row)) for row, version in self._versions if type(row) is kind]
            history.objects.bulk_create(versions, batch_size=ROWS_PER_STATEMENT)


def _ids(row: Merchant | TaxInfo) -> dict[str, int]:
    return {"id": row.pk, "merchant_id": row.merchant_id} if isinstance(row, TaxInfo) else {"id": row.pk}
