"""Differences between our tax data and the platform's latest. Field names only: the values are personal data."""

from collections.abc import Iterator
from typing import NamedTuple

from merchants.models import Merchant, MerchantChange
from merchants.sync import parse_tax_data
from merchants.sync.envelopes import tax_of


class Drift(NamedTuple):
    code: str
    fields: list[str]  # the platform's names
    problem: str = ""  # why the platform's data cannot be used


def find_drifts() -> Iterator[Drift]:
    """The drifts of all merchants that the platform has sent and not deleted, read 1,000 at a time."""
    communes = parse_tax_data.Communes()
    changes: list[MerchantChange] = []
    for row in MerchantChange.objects.exclude(ts_ms=None).exclude(op="d").order_by("code").iterator(1000):
        changes.append(row)
        if len(changes) == 1000:
            yield from _drifts_of(changes, communes)
            changes = []
    yield from _drifts_of(changes, communes)


def save_drifts() -> int:
    """Save each merchant's differences, for the gauges and the console. Returns the number of merchants that differ."""
    drifts = {d.code: "; ".join(filter(None, [", ".join(d.fields), d.problem]))[:400] for d in find_drifts()}
    saved = dict(MerchantChange.objects.exclude(drift="").values_list("code", "drift"))
    for code in sorted(drifts.keys() | saved.keys()):
        if drifts.get(code) != saved.get(code):
            MerchantChange.objects.filter(code=code).update(drift=drifts.get(code, ""))
    return len(drifts)


def _drifts_of(changes: list[MerchantChange], communes: parse_tax_data.Communes) -> Iterator[Drift]:
    codes = [change.code for change in changes]
    merchants = Merchant.objects.not_deleted().select_related("tax_info").in_bulk(codes, field_name="code")
    for change in changes:
        merchant, tax = merchants.get(change.code), tax_of(change.row)
        info = getattr(merchant, "tax_info", None)
        if not merchant:
            yield Drift(change.code, [], "we have no such merchant")
        elif isinstance(tax, dict):
            try:
                fields = parse_tax_data.differing_fields(info, parse_tax_data.parse_fields(tax, communes))
            except parse_tax_data.BadTaxData as error:
                yield Drift(change.code, [], str(error))
                continue
            if fields:
                yield Drift(change.code, fields)
        elif info:
            yield Drift(change.code, list(parse_tax_data.FIELDS), "the platform sends no tax data")
