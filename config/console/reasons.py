"""Whoever changes something says why; the answer is kept with the version that they make."""

import hashlib
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.http import HttpRequest

LONGEST = 100  # characters, as long as history_change_reason


class ReasonModelForm(forms.ModelForm):
    reason = forms.CharField(
        max_length=LONGEST,
        widget=forms.TextInput(attrs={"size": 80, "autocomplete": "off"}),
        help_text="Why: kept in the history beside your name. Nobody's personal data, please.",
    )
    seen = forms.CharField(required=False, widget=forms.HiddenInput)  # what the page showed when it was opened

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance._state.adding:
            self.initial["seen"] = self._stands

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        seen = self.cleaned_data.get("seen")
        if seen and not self.instance._state.adding and seen != self._stands():
            raise forms.ValidationError(
                "Somebody else has changed it since this page was opened. Open it again, and look what is left to do."
            )
        return cleaned

    def _stands(self) -> str:
        shown = sorted((name, repr(value)) for name, value in self.initial.items() if name != "seen")
        return hashlib.sha256(repr(shown).encode()).hexdigest()


class ReasonAdmin(admin.ModelAdmin):
    """For an admin whose form is Reasoned: the question stands last, and must be answered."""

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = list(super().get_fieldsets(request, obj))
        may = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        if may and "reason" not in flatten_fieldsets(fieldsets):
            fieldsets.append(("Why", {"fields": ("reason", "seen")}))
        return fieldsets

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        row = super().save_form(request, form, change)
        row._change_reason = form.cleaned_data["reason"]
        return row
