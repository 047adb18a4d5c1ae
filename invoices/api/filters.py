"""What lists may be narrowed by. Each filter has an index behind it, or is refused."""

from typing import Any

from django.db.models import QuerySet
from django.db.models.fields.json import KT
from rest_framework import serializers

from config.rest.identity import Principal
from config.rest.problems import at_fault
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


def read(filters: type[serializers.Serializer], parameters: Any) -> dict[str, Any]:
    """What was asked for. Raises ValidationError."""
    asked = filters(data=parameters.dict())  # else a form, in which an empty text is no text
    asked.is_valid(raise_exception=True)
    return asked.validated_data


def invoices(rows: QuerySet[Invoice], asked: dict[str, Any], principal: Principal) -> QuerySet[Invoice]:
    rows = _of_merchants(rows, asked, principal)
    dates = {"issue_date__gte": asked.get("issueDateFrom"), "issue_date__lte": asked.get("issueDateTo")}
    if any(dates.values()) and "merchantId" not in asked and principal.is_platform:
        raise at_fault("merchantId", "Dates are looked up within one merchant: give it, too.", "filter_too_wide")
    exact = {"order_id": asked.get("sourceId"), "state": asked.get("state"), "number": asked.get("number")}
    rows = rows.filter(**{name: value for name, value in {**exact, **dates}.items() if value})
    if code := asked.get("taxCode"):
        of_buyer = rows.alias(buyer_tax_code=KT("buyer__taxCode"))
        rows = of_buyer.filter(buyer__has_key="taxCode", buyer_tax_code=tax_codes.normalise(code))
    return rows


def _of_merchants(rows: QuerySet[Invoice], asked: dict[str, Any], principal: Principal) -> QuerySet[Invoice]:
    """By ids that are known: through a join the planner could not tell how few rows it will find."""
    merchants = principal.narrow(Merchant.objects.all(), "code")
    if "merchantId" in asked:
        return rows.filter(merchant__in=list(merchants.filter(code=asked["merchantId"]).values_list("pk", flat=True)))
    if principal.is_platform:
        return rows
    return rows.filter(merchant__in=list(merchants.values_list("pk", flat=True)))


def requests(rows: QuerySet[InvoiceRequest], asked: dict[str, Any], principal: Principal) -> QuerySet[InvoiceRequest]:
    if "sourceId" in asked and "merchantId" not in asked and principal.is_platform:
        raise at_fault("merchantId", "An order is looked up within one merchant: give it, too.", "filter_too_wide")
    exact = {"merchant_code": asked.get("merchantId"), "order_id": asked.get("sourceId")}
    return rows.filter(**{name: value for name, value in exact.items() if value})
