"""Every edit asks for a reason, which is kept with the version in the row's history."""

import hashlib
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.http import HttpRequest

MAX_LENGTH = 100  # characters, as history_change_reason


class ReasonModelForm(forms.ModelForm):
    reason = forms.CharField(
        max_length=MAX_LENGTH,
        widget=forms.TextInput(attrs={"size": 80, "autocomplete": "off"}),
        help_text="Kept in the history with your name. Please enter no personal data.",
    )
    # A hash of the values that the page showed when it was opened.
    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance._state.adding:
            self.initial["seen"] = self._initial_hash

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        seen = self.cleaned_data.get("seen")
        if seen and not self.instance._state.adding and seen != self._initial_hash():
            raise forms.ValidationError(
                "This row was changed after you opened this page. Open it again and check your change."
            )
        return cleaned

    def _initial_hash(self) -> str:
        shown = sorted((name, repr(value)) for name, value in self.initial.items() if name != "seen")
        return hashlib.sha256(repr(shown).encode()).hexdigest()


class ReasonAdmin(admin.ModelAdmin):
    """For an admin whose form is a ReasonModelForm: adds the reason as the last, required field."""

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = list(super().get_fieldsets(request, obj))
        can_save = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        if can_save and "reason" not in flatten_fieldsets(fieldsets):
            fieldsets.append(("Reason", {"fields": ("reason", "seen")}))
        return fieldsets

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        row = super().save_form(request, form, change)
        row._change_reason = form.cleaned_data["reason"]
        return row
