"""The console's lists: capped counts, the filters that an address may use, and filters by worklist."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.views.main import ORDER_VAR, ChangeList
from django.core.paginator import Paginator
from django.db import models
from django.http import HttpRequest
from django.utils.functional import cached_property


class CappedPaginator(Paginator):
    """Counts at most LIMIT rows: an exact count of a hundred million rows takes a minute."""

    LIMIT = 10_000

    @cached_property
    def count(self) -> int:
        assert isinstance(self.object_list, models.QuerySet)
        # Counted in the list's own order, so that the same index serves it.
        return self.object_list[: self.LIMIT].count()


class FilteredChangeList(ChangeList):
    """A list that its address filters and sorts only by what its page offers."""

    def get_filters(self, request: HttpRequest) -> Any:
        """Raises DisallowedModelAdminLookup for any other filter.

        Django accepts any lookup on any column from an address: a secret could be guessed letter by letter.
        """
        *found, lookups, may_repeat, filtered = super().get_filters(request)
        if any("\0" in value for values in self.filter_params.values() for value in values):
            raise DisallowedModelAdminLookup("No row has such a value.")
        if unknown := lookups.keys() - set(getattr(self.model_admin, "link_filters", ())):
            raise DisallowedModelAdminLookup(f"This list cannot be filtered by {', '.join(sorted(unknown))}.")
        return *found, lookups, may_repeat, filtered

    def get_ordering(self, request: HttpRequest, queryset: models.QuerySet) -> Any:
        if not self.sortable_by:
            self.params.pop(ORDER_VAR, None)
        return super().get_ordering(request, queryset)


class WorklistFilter(admin.SimpleListFilter):
    """Filters a list to the rows that the home page counts, by the app's own conditions (see its worklists.py)."""

    title, parameter_name = "worklist", "worklist"
    worklists: ClassVar[Mapping[str, str]]  # name and label

    def condition(self, name: str) -> models.Q:
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(self.worklists.items())

    def queryset(self, request: HttpRequest, queryset: models.QuerySet) -> models.QuerySet:
        name = self.value()
        return queryset.filter(self.condition(name)) if name in self.worklists and name else queryset
