"""How the console's lists are narrowed: each choice has its index, and none looks its choices up in the rows."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from invoices.work import WORK, condition
from merchants.models import Merchant


class ToDo(admin.SimpleListFilter):
    """What operators look after, as the home page counts it."""

    title, parameter_name = "to do", "work"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(WORK.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(condition(name)) if (name := self.value()) in WORK else queryset


class OfMerchant(admin.SimpleListFilter):
    """A choice that stays short however many merchants there are; the others are reached by their own page's link."""

    title = parameter_name = "merchant"
    SHOWN = 30

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        merchants = Merchant.objects.living().order_by("name").values_list("pk", "name")[: self.SHOWN]
        return [(str(pk), name) for pk, name in merchants]

    def has_output(self) -> bool:
        return True

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        value = self.value()
        return queryset.filter(merchant_id=int(value)) if value and value.isdecimal() else queryset


class OfPartition(admin.SimpleListFilter):
    """Django's own would look for the values in every row."""

    title = parameter_name = "partition"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(number), str(number)) for number in range(settings.PARTITIONS)]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        value = self.value()
        return queryset.filter(partition=int(value)) if value and value.isdecimal() else queryset
