"""The base classes of the console's model admins.

Rows cannot be deleted in the console, only disabled: deleting a user would remove their name from the history.
"""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from simple_history.admin import SimpleHistoryAdmin

from config.console import action_log
from config.console.history import differences
from config.console.lists import CappedPaginator, FilteredChangeList
from config.console.reasons import ReasonAdmin, ReasonModelForm


class NoDeleteAdmin(admin.ModelAdmin):
    """Rows cannot be deleted."""

    link_filters: tuple[str, ...] = ()  # lookups that our own links use, besides list_filter

    def get_changelist(self, request: HttpRequest, **_: Any) -> type[ChangeList]:
        return FilteredChangeList

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        return None if "\0" in object_id else super().get_object(request, object_id, from_field)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(NoDeleteAdmin):
    """Rows that only programs write."""

    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # each facet costs a count
    ordering = ("-pk",)
    sortable_by = ()  # newest first only: any other order would sort the whole table
    list_per_page = 50
    list_max_show_all = 0

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class HistoryAdmin(SimpleHistoryAdmin):
    """With the history of every change.

    An earlier version has no page, because the page would fill the fields that the history leaves out from the current
    row. No version is ever restored, because it may not fit what came after it.
    """

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

    def _lines(self, page: Any, row: Any) -> list[tuple[Any, Any, action_log.ActionLine | None]]:
        """A row's versions and, between them, the actions that are only in the log. Newest first."""
        entries = action_log.lines_of(self.model, [row.pk])
        if page.has_previous():
            entries = entries.filter(action_time__lt=page[0].next_record.history_date)
        if page.has_next():
            entries = entries.filter(action_time__gte=page[-1].history_date)
        lines: list[tuple[Any, Any, action_log.ActionLine | None]] = [
            *((version.history_date, version, None) for version in page),
            *(
                (entry.action_time, entry, action_log.parse(entry))
                for entry in entries.select_related("user")[: action_log.MAX_LINES]
            ),
        ]
        return sorted(lines, key=lambda line: line[0], reverse=True)

    def set_history_delta_changes(self, request: HttpRequest, historical_records: Any, **_: Any) -> None:
        """simple-history's own would show fingerprints and personal data, and leave out fields that no form has."""
        versions = list(historical_records)
        oldest = versions[-1].prev_record if versions else None
        for version, before in zip(versions, [*versions[1:], oldest], strict=False):  # no pair for a row without any
            version.differences = differences(version, before) if before else []
        self.name_authors(versions)

    def name_authors(self, versions: list[Any]) -> None:
        """Set `who` and `why` of each version."""
        for version in versions:
            version.who, version.why = version.history_user or "the system", version.history_change_reason or ""


class EditableAdmin(ReasonAdmin, HistoryAdmin, NoDeleteAdmin):
    """Rows that operators edit. `fixed` names the fields that are chosen once and never changed."""

    form: type[forms.ModelForm] = ReasonModelForm
    fixed: tuple[str, ...] = ()

    def changeform_view(self, request: HttpRequest, object_id: str | None = None, *args: Any, **kwargs: Any) -> Any:
        """Locks the row from reading it to saving it: the form writes the whole row, and workers write some fields."""
        with transaction.atomic():
            row = self.get_object(request, unquote(object_id)) if request.method == "POST" and object_id else None
            if row:
                self.model._default_manager.select_for_update(no_key=True).get(pk=row.pk)
            return super().changeform_view(request, object_id, *args, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [*super().get_readonly_fields(request, obj), *(self.fixed if obj else ())]
