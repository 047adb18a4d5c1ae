"""The operators' console: what every page of it has in common, and the ground's own tables.

Nothing can be deleted here. What ends is switched off: a deleted user would take their name out of the history.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ORDER_VAR, ChangeList
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.core.paginator import Paginator
from django.db import models, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.functional import cached_property
from simple_history.admin import SimpleHistoryAdmin

from config.console import action_log
from config.console.history import differences
from config.console.reasons import AsksWhy, Reasoned
from config.console.sign_in import SignIn
from config.models import Configuration

admin.site.login_form = SignIn
admin.site.disable_action("delete_selected")


class CappedPaginator(Paginator):
    """Counts no further than anybody turns pages: an exact count of a hundred million rows takes a minute."""

    LIMIT = 10_000

    @cached_property
    def count(self) -> int:
        assert isinstance(self.object_list, models.QuerySet)
        # In the list's own order: the same index answers, and what is filtered out lies among the newest rows only.
        return self.object_list[: self.LIMIT].count()


class Listing(ChangeList):
    """A list that its address narrows and sorts only as its page offers."""

    def get_filters(self, request: HttpRequest) -> Any:
        """Django takes any column's any lookup from an address: so a token could be spelled out, letter by letter."""
        *found, asked, may_repeat, narrowed = super().get_filters(request)
        if any("\0" in value for values in self.filter_params.values() for value in values):
            raise DisallowedModelAdminLookup("No row has such a value.")
        if unknown := asked.keys() - set(getattr(self.model_admin, "linked", ())):
            raise DisallowedModelAdminLookup(f"This list is not narrowed by {', '.join(sorted(unknown))}.")
        return *found, asked, may_repeat, narrowed

    def get_ordering(self, request: HttpRequest, queryset: models.QuerySet) -> Any:
        if not self.sortable_by:
            self.params.pop(ORDER_VAR, None)
        return super().get_ordering(request, queryset)


class ToDo(admin.SimpleListFilter):
    """A list narrowed to what the home page counts, by the room's own words and conditions for it."""

    title, parameter_name = "to do", "work"
    words: ClassVar[Mapping[str, str]]

    def condition(self, name: str) -> models.Q:
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(self.words.items())

    def queryset(self, request: HttpRequest, queryset: models.QuerySet) -> models.QuerySet:
        name = self.value()
        return queryset.filter(self.condition(name)) if name in self.words and name else queryset


class Kept(admin.ModelAdmin):
    """Rows stay."""

    linked: tuple[str, ...] = ()  # what links of ours narrow the list by, beside its filters

    def get_changelist(self, request: HttpRequest, **_: Any) -> type[ChangeList]:
        return Listing

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        return None if "\0" in object_id else super().get_object(request, object_id, from_field)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Shown(Kept):
    """Read, never typed: these rows are written by the machine."""

    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # each would be counted
    ordering = ("-pk",)
    sortable_by = ()  # the newest first: any other order would sort the whole table
    list_per_page = 50
    list_max_show_all = 0

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Historied(SimpleHistoryAdmin):
    """With the history of every change. An earlier version has no page: it would fill in, from today's row, what the
    history does not keep; nor is one ever put back, for it may not fit what came after."""

    object_history_template: Any = "config/history.html"

    def history_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        if self.get_object(request, unquote(object_id)) is None:
            raise Http404
        return super().history_view(request, object_id, *args, **kwargs)

    def history_form_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        raise Http404

    def render_history_view(self, request: HttpRequest, template: str, context: Any, **kwargs: Any) -> HttpResponse:
        context["lines"] = self._lines(context["page_obj"], context["object"])
        return super().render_history_view(request, template, context, **kwargs)

    def _lines(self, page: Any, row: Any) -> list[tuple[Any, Any, action_log.Acted | None]]:
        """A row's versions, and between them the acts that left no other trace in it."""
        acts = action_log.lines(self.model, [row.pk])
        if page.has_previous():
            acts = acts.filter(action_time__lt=page[0].next_record.history_date)
        if page.has_next():
            acts = acts.filter(action_time__gte=page[-1].history_date)
        told: list[tuple[Any, Any, action_log.Acted | None]] = [
            (version.history_date, version, None) for version in page
        ]
        told += [
            (line.action_time, line, action_log.read(line)) for line in acts.select_related("user")[: action_log.MOST]
        ]
        return sorted(told, key=lambda line: line[0], reverse=True)

    def set_history_delta_changes(self, request: HttpRequest, historical_records: Any, **_: Any) -> None:
        """simple-history's own would show secrets' marks and people's numbers, and hide what nobody types."""
        versions = list(historical_records)
        oldest = versions[-1].prev_record if versions else None
        for version, before in zip(versions, [*versions[1:], oldest], strict=False):  # none: a row without versions
            version.differences = differences(version, before) if before else []
        self.name_authors(versions)

    def name_authors(self, versions: list[Any]) -> None:
        """Give each version `who` wrote it and `why`."""
        for version in versions:
            version.who, version.why = version.history_user or "the system", version.history_change_reason or ""


class Edited(AsksWhy, Historied, Kept):
    """Typed by people. `fixed` names what may be chosen once and never changed."""

    form: type[forms.ModelForm] = Reasoned
    fixed: tuple[str, ...] = ()

    def changeform_view(self, request: HttpRequest, object_id: str | None = None, *args: Any, **kwargs: Any) -> Any:
        """Held from the look to the save: the form writes the whole row, and workers write some of its fields."""
        with transaction.atomic():
            row = self.get_object(request, unquote(object_id)) if request.method == "POST" and object_id else None
            if row:
                self.model._default_manager.select_for_update(no_key=True).get(pk=row.pk)
            return super().changeform_view(request, object_id, *args, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [*super().get_readonly_fields(request, obj), *(self.fixed if obj else ())]


class ConfigurationForm(Reasoned):
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
            self.fields["text"].widget = forms.PasswordInput()  # a form with a mistake in it shows no secret again


@admin.register(Configuration)
class ConfigurationAdmin(Edited):
    form = ConfigurationForm
    fixed = ("key", "is_secret")  # a sealed value cannot become an open one, nor the other way round
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
class Users(Kept, UserAdmin):
    pass


@admin.register(Group)
class Groups(Kept, GroupAdmin):
    pass
