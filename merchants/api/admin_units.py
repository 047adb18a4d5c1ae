"""The API of provinces and communes. Search works with or without accents."""

from typing import Any

from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.rest.fields import NullableText
from config.rest.paging import ByCode
from config.rest.scoping import PUBLIC, ScopedViewSet
from merchants.models import AdministrativeUnit
from merchants.models.admin_units import search_text


class UnitShape(serializers.ModelSerializer):
    nameEn = serializers.CharField(source="name_en")
    fullName = serializers.CharField(source="full_name")
    fullNameEn = serializers.CharField(source="full_name_en")
    unitType = serializers.CharField(source="unit_type")
    parentCode = NullableText(source="parent_id")

    class Meta:
        model = AdministrativeUnit
        fields = ("code", "name", "nameEn", "fullName", "fullNameEn", "level", "unitType", "parentCode")


class UnitFilters(serializers.Serializer):
    q = serializers.CharField(max_length=60, required=False, help_text="Words of the unit's or its province's name.")
    level = serializers.ChoiceField(AdministrativeUnit.Level.values, required=False)
    province = serializers.RegexField(r"^[0-9]{1,5}\Z", required=False, help_text="A province's code.")


class AdminUnits(mixins.ListModelMixin, mixins.RetrieveModelMixin, ScopedViewSet):
    queryset = AdministrativeUnit.objects.all()
    serializer_class = UnitShape
    pagination_class = ByCode
    lookup_field = "code"
    lookup_value_regex = "[0-9]{1,5}"
    merchant_path = PUBLIC
    permission_of = {"list": "merchant.read", "retrieve": "merchant.read"}

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.action != "list":
            return queryset
        filters = UnitFilters(data=self.request.query_params.dict())
        filters.is_valid(raise_exception=True)
        values = filters.validated_data
        for word in search_text(values.get("q", "")).split():
            queryset = queryset.filter(Q(search__contains=word) | Q(parent__search__contains=word))
        exact = {"level": values.get("level"), "parent_id": values.get("province")}
        return queryset.filter(**{name: value for name, value in exact.items() if value})

    @extend_schema(parameters=[UnitFilters])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Search by name; every word must occur."""
        return super().list(request, *args, **kwargs)
