"""Where our tax data is not what the platform told us last. Field names only: the values are people's."""

from collections.abc import Iterator
from typing import NamedTuple

from merchants.models import Merchant, MerchantChange
from merchants.sync import tax_data
from merchants.sync.envelopes import tax_in


class Drift(NamedTuple):
    code: str
    fields: list[str]  # as the platform spells them
    problem: str = ""  # why what the platform told cannot be used


def drifts() -> Iterator[Drift]:
    """Of the living merchants of whom we heard; 1,000 at a time."""
    communes = tax_data.Communes()
    heard: list[MerchantChange] = []
    for row in MerchantChange.objects.exclude(ts_ms=None).exclude(op="d").order_by("code").iterator(1000):
        heard.append(row)
        if len(heard) == 1000:
            yield from _among(heard, communes)
            heard = []
    yield from _among(heard, communes)


def note() -> int:
    """Write down where each merchant's data drifts now, for the figures and the console; returns how many do."""
    found = {drift.code: "; ".join(filter(None, [", ".join(drift.fields), drift.problem]))[:400] for drift in drifts()}
    noted = dict(MerchantChange.objects.exclude(drift="").values_list("code", "drift"))
    news = {code: found.get(code, "") for code in found.keys() | noted.keys() if found.get(code) != noted.get(code)}
    for code in sorted(news):
        MerchantChange.objects.filter(code=code).update(drift=news[code])
    return len(found)


def _among(heard: list[MerchantChange], communes: tax_data.Communes) -> Iterator[Drift]:
    merchants = Merchant.objects.living().select_related("tax_info").in_bulk([h.code for h in heard], field_name="code")
    for row in heard:
        merchant, tax = merchants.get(row.code), tax_in(row.row)
        info = getattr(merchant, "tax_info", None)
        if not merchant:
            yield Drift(row.code, [], "we have no such merchant")
        elif isinstance(tax, dict):
            try:
                fields = tax_data.differences(info, tax_data.read(tax, communes))
            except tax_data.BadTaxData as error:
                yield Drift(row.code, [], str(error))
                continue
            if fields:
                yield Drift(row.code, fields)
        elif info:
            yield Drift(row.code, list(tax_data.FIELDS), "the platform sends no tax data")
