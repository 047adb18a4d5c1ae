"""Which rows a caller sees: the living ones of the merchants that their token names."""

from typing import Any, ClassVar, cast

from django.db.models import QuerySet
from rest_framework import viewsets
from rest_framework.exceptions import NotFound

from config.rest.identity import Principal
from config.rest.problems import Problem

EVERYBODY = ""  # a `merchant_path` for rows that belong to no merchant and are no secret
PLATFORM = "platform"  # … and for those that only a token for the whole platform sees


class Scoped(viewsets.GenericViewSet):
    """Living rows of the caller's merchants; any other row is not found."""

    permission_of: ClassVar[dict[str, str]] = {}
    merchant_path: ClassVar[str]  # from a row to its merchant's code

    @property
    def principal(self) -> Principal:
        return cast(Principal, self.request.auth)

    def get_queryset(self) -> QuerySet[Any]:
        rows = super().get_queryset()
        if hasattr(rows, "living"):
            rows = rows.living()
        if self.merchant_path == PLATFORM:
            return rows if self.principal.is_platform else rows.none()
        return self.principal.narrow(rows, self.merchant_path) if self.merchant_path else rows

    def get_object(self) -> Any:
        self.kwargs = {name: known(value) for name, value in self.kwargs.items()}
        return super().get_object()

    def check_acts_for(self, merchant_code: str | None) -> None:
        """Before something new is made for a merchant. The answer tells nothing of whether the merchant exists."""
        if not self.principal.acts_for(merchant_code):
            raise Problem(403, "other_merchant", "Your token does not speak for this merchant.")

    def keep(self, row: Any) -> None:
        """Save a row whose history names the caller."""
        row._change_reason = self.principal.actor
        row.save()

    def change(self, row: Any, values: dict[str, Any]) -> None:
        """Write only what was given: a worker may be writing the row's other fields."""
        for name, value in values.items():
            setattr(row, name, value)
        row._change_reason = self.principal.actor
        row.save(update_fields=[*values, "updated_at"])

    def remove(self, row: Any) -> None:
        row._change_reason = self.principal.actor
        row.delete()


def known(value: Any) -> Any:
    """A key from an address, or 404 where no row can have it."""
    if isinstance(value, str) and any(ord(letter) < 32 for letter in value):
        raise NotFound
    return value
