"""Limits a view to the rows that the caller's token allows: those of its merchants that are not deleted."""

from typing import Any, ClassVar, cast

from django.db.models import QuerySet
from rest_framework import viewsets
from rest_framework.exceptions import NotFound

from config.rest.identity import Principal
from config.rest.problems import Problem

# Values of `merchant_path` for rows that belong to no merchant:
PUBLIC = ""  # every caller sees them
PLATFORM = "platform"  # only tokens for the whole platform see them


class ScopedViewSet(viewsets.GenericViewSet):
    """Rows of other merchants, and deleted rows, are not found."""

    permission_of: ClassVar[dict[str, str]] = {}  # by action
    merchant_path: ClassVar[str]  # lookup from a row to its merchant's code

    @property
    def principal(self) -> Principal:
        return cast(Principal, self.request.auth)

    def get_queryset(self) -> QuerySet[Any]:
        rows = super().get_queryset()
        if hasattr(rows, "not_deleted"):
            rows = rows.not_deleted()
        if self.merchant_path == PLATFORM:
            return rows if self.principal.is_platform else rows.none()
        return self.principal.filter_rows(rows, self.merchant_path) if self.merchant_path else rows

    def get_object(self) -> Any:
        self.kwargs = {name: valid_key(value) for name, value in self.kwargs.items()}
        return super().get_object()

    def check_may_act_for(self, merchant_code: str | None) -> None:
        """Call before creating something for a merchant. The error does not reveal whether the merchant exists."""
        if not self.principal.may_act_for(merchant_code):
            raise Problem(403, "other_merchant", "Your token may not act for this merchant.")

    def save_row(self, row: Any) -> None:
        """Save a row. Its history names the caller."""
        row._change_reason = self.principal.actor
        row.save()

    def update_row(self, row: Any, values: dict[str, Any]) -> None:
        """Save only these fields, because a worker may be writing the others."""
        for name, value in values.items():
            setattr(row, name, value)
        row._change_reason = self.principal.actor
        row.save(update_fields=[*values, "updated_at"])

    def remove_row(self, row: Any) -> None:
        row._change_reason = self.principal.actor
        row.delete()


def valid_key(value: Any) -> Any:
    """A key from the URL. Raises NotFound if no row can have it."""
    if isinstance(value, str) and any(ord(letter) < 32 for letter in value):
        raise NotFound
    return value
