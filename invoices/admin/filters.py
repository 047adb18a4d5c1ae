"""How the console's lists are narrowed: each choice has its index, and none looks its choices up in the rows."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from config.admin import ToDo
from invoices.lifecycle import State
from invoices.worklists import WORK, condition
from merchants.models import Merchant


class InvoicesToDo(ToDo):
    words = WORK

    def condition(self, name: str) -> Q:
        return condition(name)


class Failure(admin.ChoicesFieldListFilter):
    """Its index holds what is FAILED: nothing else has a failure."""

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> Any:
        failed = queryset.filter(state=State.FAILED) if self.lookup_val else queryset
        return super().queryset(request, failed)


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


class OfDay(admin.DateFieldListFilter):
    """Of a merchant: no index leads with the day alone. What was issued today is among what is to do."""

    def __init__(self, field: Any, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(field, request, *args, **kwargs)
        self.within_one = request.GET.get("merchant", "").isdecimal()
        if self.used_parameters and not self.within_one:
            raise DisallowedModelAdminLookup("Days are looked for within a merchant: choose one first.")

    def has_output(self) -> bool:
        return self.within_one


class OfPartition(admin.SimpleListFilter):
    """Django's own would look for the values in every row."""

    title = parameter_name = "partition"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(number), str(number)) for number in range(settings.PARTITIONS)]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        known = [number for number, _ in self.lookup_choices]
        return queryset.filter(partition=self.value()) if self.value() in known else queryset
