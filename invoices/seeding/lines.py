"""Rows as the text that COPY reads."""

from typing import Any

from django.db import connection, models
from django.db.models import NOT_PROVIDED

NULL = "~"  # without a backslash, so that every backslash in a line is data


class Lines:
    """A model's rows. What is not given has the field's default."""

    def __init__(self, model: type[models.Model]) -> None:
        self.defaults = {str(field.column): _default(field) for field in model._meta.concrete_fields}
        self.text: list[str] = []

    @property
    def columns(self) -> str:
        return ", ".join(f'"{column}"' for column in self.defaults)

    def add(self, **values: Any) -> None:
        row = self.defaults | values  # in the order of the columns
        line = "\t".join([NULL if value is None else str(value) for value in row.values()])
        self.text.append(line.replace("\\", "\\\\") if "\\" in line else line)


def _default(field: models.Field) -> Any:
    if field.default is NOT_PROVIDED:
        return None if field.null else ""
    default = field.get_default()
    return default if default is None else field.get_db_prep_save(default, connection)
