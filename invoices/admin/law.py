"""The law, which a fixture changes, and the partitions, which operators may hold."""

from django import forms
from django.conf import settings
from django.contrib import admin

from config.admin import Edited, Shown
from config.reasons import Reasoned
from invoices.models import LegalRules, Partition


@admin.register(LegalRules)
class LegalRulesAdmin(Shown):
    list_display = ("effective_from", "source", "forms", "symbol_letters", "vat_rates", "consumer_text")


class PartitionForm(Reasoned):
    class Meta:
        model = Partition
        fields = ("number", "paused")

    def clean_number(self) -> int:
        number = self.cleaned_data["number"]
        if number >= settings.PARTITIONS:
            raise forms.ValidationError(f"The partitions are 0 to {settings.PARTITIONS - 1}.")
        return number


@admin.register(Partition)
class PartitionAdmin(Edited):
    form = PartitionForm
    fields = ("number", "paused")
    reason_required = True
    fixed = ("number",)
    list_display = ("number", "paused")
    ordering = ("number",)
