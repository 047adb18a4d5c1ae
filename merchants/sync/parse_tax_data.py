"""Parse `metadata.tax` of the platform's row into the fields of a TaxInfo. No error message quotes a value."""

from functools import lru_cache
from typing import Any

from django.core.exceptions import ValidationError

from merchants import tax_codes
from merchants.models import AdministrativeUnit, TaxInfo

_check_tax_code = lru_cache(maxsize=10_000)(tax_codes.check)  # most changes repeat a known code
FIELDS = {  # the platform's name: ours
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
    """No invoice can be issued with this tax data."""

    def __init__(self, field: str, message: Any) -> None:
        super().__init__(f"{field}: {message}")


class Communes:
    """The codes that are communes. Each is looked up once per batch."""

    def __init__(self) -> None:
        self._known: dict[str, bool] = {}

    def __contains__(self, code: str) -> bool:
        if code not in self._known:
            self._known[code] = AdministrativeUnit.objects.filter(
                code=code, level=AdministrativeUnit.Level.COMMUNE
            ).exists()
        return self._known[code]


def parse_fields(tax: dict[str, Any], communes: Communes) -> dict[str, str | None]:
    """The fields of a TaxInfo. Raises BadTaxData."""
    fields: dict[str, str | None] = {}
    for platform_name, name in FIELDS.items():
        value = tax.get(platform_name)
        if not isinstance(value, str | None):
            raise BadTaxData(platform_name, "This must be text.")
        fields[name] = (value or "").strip()
    try:
        fields["tax_code"] = _check_tax_code(fields["tax_code"] or "")
    except tax_codes.InvalidTaxCode as error:
        raise BadTaxData("taxCode", error) from None
    method = METHODS.get((fields["method"] or "").lower())
    if method is None:
        raise BadTaxData("method", "This must be deduction or direct.")
    fields["method"] = method.value
    commune = fields["commune_id"] = fields["commune_id"] or None
    if commune and commune not in communes:
        raise BadTaxData("communeCode", "There is no commune with this code.")
    for platform_name, name in FIELDS.items():
        if name != "commune_id":
            try:
                field: Any = TaxInfo._meta.get_field(name)
                field.clean(fields[name], None)
            except ValidationError as error:
                raise BadTaxData(platform_name, error.messages[0]) from None
    return fields


def differing_fields(info: TaxInfo | None, fields: dict[str, str | None]) -> list[str]:
    """The platform's names of the fields that differ from ours: all of them if we have no tax data."""
    if info is None or info.deleted_at:
        return list(FIELDS)
    return [platform_name for platform_name, name in FIELDS.items() if getattr(info, name) != fields[name]]


def platform_row(info: TaxInfo) -> dict[str, Any]:
    """Our tax data under the platform's names."""
    return {platform_name: getattr(info, name) for platform_name, name in FIELDS.items()}
