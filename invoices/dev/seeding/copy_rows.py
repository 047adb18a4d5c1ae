"""Rows in the text format of COPY."""

from typing import Any

from django.db import connection, models
from django.db.models import NOT_PROVIDED

NULL = "~"  # has no backslash, so every backslash in a line is data


class CopyRows:
    """A model's rows. A column that is not given has the field's default."""

    def __init__(self, model: type[models.Model]) -> None:
        self.defaults = {str(field.column): _default(field) for field in model._meta.concrete_fields}
        self.text: list[str] = []
        self._templates: dict[tuple[str, ...], str] = {}

    @property
    def columns(self) -> str:
        return ", ".join(f'"{column}"' for column in self.defaults)

    def add(self, **values: Any) -> None:
        """Add a row. NULL is the value for SQL's NULL."""
        line = (self._templates.get(given := tuple(values)) or self._template(given)) % values
        self.text.append(line.replace("\\", "\\\\") if "\\" in line else line)

    def _template(self, given: tuple[str, ...]) -> str:
        """The line of rows with these columns, with placeholders for their values."""
        assert set(given) <= set(self.defaults), given
        cells = [f"%({column})s" if column in given else str(value) for column, value in self.defaults.items()]
        self._templates[given] = "\t".join(cells)
        return self._templates[given]


def _default(field: models.Field) -> Any:
    if field.default is NOT_PROVIDED:
        return NULL if field.null else ""
    default = field.get_default()
    return NULL if default is None else field.get_db_prep_save(default, connection)
