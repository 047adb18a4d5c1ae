"""The admin pages of settings, users and groups."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest

from config.console.admins import EditableAdmin, NoDeleteAdmin
from config.console.reasons import ReasonModelForm
from config.console.sign_in import SignIn
from config.models import Configuration

admin.site.login_form = SignIn
admin.site.disable_action("delete_selected")


class ConfigurationForm(ReasonModelForm):
    text = forms.CharField(
        label="Value",
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 3, "autocomplete": "off"}),
        help_text="A secret value is never shown; leave this empty to keep it.",
    )

    class Meta:
        model = Configuration
        fields = ("key", "is_secret", "description")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.key and not self.instance.is_secret:
            self.initial["text"] = self.instance.value
        if self.instance.is_secret or self.data.get("is_secret"):
            self.fields["text"].widget = forms.PasswordInput()  # a form with an error must not show the secret again


@admin.register(Configuration)
class ConfigurationAdmin(EditableAdmin):
    form = ConfigurationForm
    fixed = ("key", "is_secret")  # a secret value stays secret, and a plain one plain
    fields = ("key", "is_secret", "text", "description")
    list_display = ("key", "shown", "description", "updated_at")
    list_filter = ("is_secret",)
    search_fields = ("key", "description")
    ordering = ("key",)

    @admin.display(description="value")
    def shown(self, row: Configuration) -> str:
        return "•••" if row.is_secret else row.value

    def save_model(self, request: HttpRequest, obj: Configuration, form: Any, change: bool) -> None:
        text = form.cleaned_data["text"]
        if obj.is_secret and not text:
            obj.save()
        else:
            obj.write(text)


admin.site.unregister([User, Group])


@admin.register(User)
class Users(NoDeleteAdmin, UserAdmin):
    pass


@admin.register(Group)
class Groups(NoDeleteAdmin, GroupAdmin):
    pass
