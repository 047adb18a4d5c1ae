"""The law, which a fixture changes, and the partitions, which operators may hold."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from config.admin import Historied, Shown
from config.console.actions import Acting
from invoices.models import LegalRules, Partition
from merchants.actions import Pause, Resume


@admin.register(LegalRules)
class LegalRulesAdmin(Shown):
    list_display = ("effective_from", "source", "forms", "symbol_letters", "vat_rates", "consumer_text")


@admin.register(Partition)
class PartitionAdmin(Acting, Historied, Shown):
    acts = (Pause("invoices.pause_partition"), Resume("invoices.pause_partition"))
    list_display = ("number", "paused")
    list_filter = ("paused",)
    ordering = ("number",)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Each partition that is worked on, held or not, has a row to be held by."""
        Partition.objects.bulk_create([Partition(number=p) for p in range(settings.PARTITIONS)], ignore_conflicts=True)
        return super().changelist_view(request, extra_context)
