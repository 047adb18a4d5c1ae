"""Legal rules, which only a fixture changes, and partitions, which operators may pause."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from config.console.actions import ActionAdmin
from config.console.admins import HistoryAdmin, ReadOnlyAdmin
from invoices.models import LegalRules, Partition
from merchants.actions import Pause, Resume


@admin.register(LegalRules)
class LegalRulesAdmin(ReadOnlyAdmin):
    list_display = ("effective_from", "source", "forms", "rates", "consumer_text")

    @admin.display(description="VAT rates")
    def rates(self, row: LegalRules) -> str:
        return ", ".join(row.vat_rates)


@admin.register(Partition)
class PartitionAdmin(ActionAdmin, HistoryAdmin, ReadOnlyAdmin):
    operator_actions = (Pause("invoices.pause_partition"), Resume("invoices.pause_partition"))
    list_display = ("number", "paused")
    list_filter = ("paused",)
    ordering = ("number",)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Creates the rows of partitions that were never paused, so that the list shows them."""
        Partition.objects.bulk_create([Partition(number=p) for p in range(settings.PARTITIONS)], ignore_conflicts=True)
        return super().changelist_view(request, extra_context)
