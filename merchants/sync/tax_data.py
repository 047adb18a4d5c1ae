"""`metadata.tax` of the platform's row, read as the fields of a TaxInfo. No message repeats a value of it."""

from functools import lru_cache
from typing import Any

from django.core.exceptions import ValidationError

from merchants import tax_codes
from merchants.models import AdministrativeUnit, TaxInfo

_checked = lru_cache(maxsize=10_000)(tax_codes.check)  # most changes repeat the code that is known
FIELDS = {
    "taxCode": "tax_code",
    "legalName": "legal_name",
    "address": "address",
    "communeCode": "commune_id",
    "email": "email",
    "phone": "phone",
    "method": "method",
}
METHODS = {
    "deduction": TaxInfo.Method.DEDUCTION,
    "khau_tru": TaxInfo.Method.DEDUCTION,
    "direct": TaxInfo.Method.DIRECT,
    "truc_tiep": TaxInfo.Method.DIRECT,
}


class BadTaxData(ValueError):
    """No invoice can be issued in this name."""

    def __init__(self, field: str, message: Any) -> None:
        super().__init__(f"{field}: {message}")


class Communes:
    """Which codes are communes; asked once each, for as long as a batch lasts."""

    def __init__(self) -> None:
        self._known: dict[str, bool] = {}

    def __contains__(self, code: str) -> bool:
        if code not in self._known:
            self._known[code] = AdministrativeUnit.objects.filter(
                code=code, level=AdministrativeUnit.Level.COMMUNE
            ).exists()
        return self._known[code]


def read(tax: dict[str, Any], communes: Communes) -> dict[str, str | None]:
    """The fields of a TaxInfo. Raises BadTaxData."""
    fields: dict[str, str | None] = {}
    for told, name in FIELDS.items():
        value = tax.get(told)
        if not isinstance(value, str | None):
            raise BadTaxData(told, "This must be a text.")
        fields[name] = (value or "").strip()
    try:
        fields["tax_code"] = _checked(fields["tax_code"] or "")
    except tax_codes.ImpossibleTaxCode as error:
        raise BadTaxData("taxCode", error) from None
    method = METHODS.get((fields["method"] or "").lower())
    if method is None:
        raise BadTaxData("method", "This must be deduction or direct.")
    fields["method"] = method.value
    commune = fields["commune_id"] = fields["commune_id"] or None
    if commune and commune not in communes:
        raise BadTaxData("communeCode", "There is no commune with this code.")
    for told, name in FIELDS.items():
        if name != "commune_id":
            try:
                field: Any = TaxInfo._meta.get_field(name)
                field.clean(fields[name], None)
            except ValidationError as error:
                raise BadTaxData(told, error.messages[0]) from None
    return fields


def differences(info: TaxInfo | None, fields: dict[str, str | None]) -> list[str]:
    """The names, as the platform spells them, of what we hold otherwise; all of them where we hold nothing."""
    if info is None or info.deleted_at:
        return list(FIELDS)
    return [told for told, name in FIELDS.items() if getattr(info, name) != fields[name]]


def told_by(info: TaxInfo) -> dict[str, Any]:
    """What we hold, in the platform's words."""
    return {told: getattr(info, name) for told, name in FIELDS.items()}
