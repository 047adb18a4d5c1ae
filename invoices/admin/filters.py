"""Filters of the console's lists. Each is backed by an index, and none reads the table to find its choices."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from config.console.lists import WorklistFilter
from invoices.lifecycle import State
from invoices.worklists import WORKLISTS, worklist_condition
from merchants.models import Merchant


class InvoiceWorklistFilter(WorklistFilter):
    worklists = WORKLISTS

    def condition(self, name: str) -> Q:
        return worklist_condition(name)


class FailureFilter(admin.ChoicesFieldListFilter):
    """Adds the condition state FAILED, so that the index of failures is used. Only FAILED invoices have a failure."""

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> Any:
        failed = queryset.filter(state=State.FAILED) if self.lookup_val else queryset
        return super().queryset(request, failed)


class MerchantFilter(admin.SimpleListFilter):
    """Lists the first LIMIT merchants. The others are reached by the link on their own page."""

    title = parameter_name = "merchant"
    LIMIT = 30

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        merchants = Merchant.objects.not_deleted().order_by("name").values_list("pk", "name")[: self.LIMIT]
        return [(str(pk), name) for pk, name in merchants]

    def has_output(self) -> bool:
        return True

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        value = self.value()
        return queryset.filter(merchant_id=int(value)) if value and value.isdecimal() else queryset


class IssueDateFilter(admin.DateFieldListFilter):
    """Only within one merchant, because no index begins with the day. "Issued today" is a worklist."""

    def __init__(self, field: Any, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(field, request, *args, **kwargs)
        self.within_merchant = request.GET.get("merchant", "").isdecimal()
        if self.used_parameters and not self.within_merchant:
            raise DisallowedModelAdminLookup("Choose a merchant before you filter by day.")

    def has_output(self) -> bool:
        return self.within_merchant


class PartitionFilter(admin.SimpleListFilter):
    """Django's own filter would read every row to find the values."""

    title = parameter_name = "partition"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(number), str(number)) for number in range(settings.PARTITIONS)]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        known = [number for number, _ in self.lookup_choices]
        return queryset.filter(partition=self.value()) if self.value() in known else queryset
