"""The filters of lists. Each is backed by an index; a combination without an index is refused."""

from typing import Any

from django.db.models import QuerySet
from django.db.models.fields.json import KT
from rest_framework import serializers

from config.rest.identity import Principal
from config.rest.problems import field_problem
from invoices.lifecycle import State
from invoices.models import Invoice, InvoiceRequest
from merchants import tax_codes
from merchants.models import Merchant


class InvoiceFilters(serializers.Serializer):
    merchantId = serializers.CharField(max_length=64, required=False)
    sourceId = serializers.CharField(max_length=64, required=False, help_text="The order.")
    state = serializers.ChoiceField([state.value for state in State], required=False)
    taxCode = serializers.CharField(max_length=20, required=False, help_text="The buyer's.")
    number = serializers.CharField(max_length=8, required=False)
    issueDateFrom = serializers.DateField(required=False, help_text="Inclusive; needs `merchantId`.")
    issueDateTo = serializers.DateField(required=False, help_text="Inclusive; needs `merchantId`.")


class RequestFilters(serializers.Serializer):
    merchantId = serializers.CharField(max_length=64, required=False)
    sourceId = serializers.CharField(max_length=64, required=False, help_text="The order; needs `merchantId`.")


def parse_filters(filters: type[serializers.Serializer], parameters: Any) -> dict[str, Any]:
    """The given filters. Raises ValidationError."""
    serializer = filters(data=parameters.dict())  # a QueryDict would be read as a form, without empty texts
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


def filter_invoices(rows: QuerySet[Invoice], given: dict[str, Any], principal: Principal) -> QuerySet[Invoice]:
    rows = _of_merchants(rows, given, principal)
    dates = {"issue_date__gte": given.get("issueDateFrom"), "issue_date__lte": given.get("issueDateTo")}
    if any(dates.values()) and "merchantId" not in given and principal.is_platform:
        raise field_problem("merchantId", "A filter by date also needs merchantId.", "filter_too_wide")
    exact = {"order_id": given.get("sourceId"), "state": given.get("state"), "number": given.get("number")}
    rows = rows.filter(**{name: value for name, value in {**exact, **dates}.items() if value})
    if code := given.get("taxCode"):
        of_buyer = rows.alias(buyer_tax_code=KT("buyer__taxCode"))
        rows = of_buyer.filter(buyer__has_key="taxCode", buyer_tax_code=tax_codes.normalise(code))
    return rows


def _of_merchants(rows: QuerySet[Invoice], given: dict[str, Any], principal: Principal) -> QuerySet[Invoice]:
    """By merchant ids: through a join the planner could not estimate how few rows it will find."""
    merchants = principal.filter_rows(Merchant.objects.all(), "code")
    if "merchantId" in given:
        return rows.filter(merchant__in=list(merchants.filter(code=given["merchantId"]).values_list("pk", flat=True)))
    if principal.is_platform:
        return rows
    return rows.filter(merchant__in=list(merchants.values_list("pk", flat=True)))


def filter_requests(
    rows: QuerySet[InvoiceRequest], given: dict[str, Any], principal: Principal
) -> QuerySet[InvoiceRequest]:
    if "sourceId" in given and "merchantId" not in given and principal.is_platform:
        raise field_problem("merchantId", "A filter by order also needs merchantId.", "filter_too_wide")
    exact = {"merchant_code": given.get("merchantId"), "order_id": given.get("sourceId")}
    return rows.filter(**{name: value for name, value in exact.items() if value})
