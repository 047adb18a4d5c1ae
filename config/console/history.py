"""What changed between two versions of a row, in words that may be shown to anybody who may see the row."""

from typing import Any, NamedTuple

from django.utils import timezone

NOTHING, HIDDEN = "–", "•••"
# Personal words and marks of secrets: that they changed is told, what they were is not.
HUSHED = frozenset({"email", "phone", "credentials_fingerprint"})
UNTOLD = frozenset({"id", "created_at", "updated_at"})
LONGEST = 200  # characters


class Difference(NamedTuple):
    field: str
    old: str
    new: str


def differences(version: Any, before: Any) -> list[Difference]:
    """Field by field, from two history rows of one object."""
    found = []
    for field in version.tracked_fields:  # not diff_against: it leaves out what nobody types, such as deleted_at
        old, new = getattr(before, field.attname), getattr(version, field.attname)
        if old != new and field.name not in UNTOLD:
            hide = field.name in HUSHED
            told = [NOTHING if value in (None, "") else HIDDEN if hide else _text(field, value) for value in (old, new)]
            found.append(Difference(str(field.verbose_name), *told))
    return found


def _text(field: Any, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if hasattr(value, "astimezone"):
        return f"{timezone.localtime(value):%Y-%m-%d %H:%M:%S}"
    text = str(dict(field.flatchoices).get(value, value))
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def who(version: Any) -> str:
    """An operator, or what else wrote the row: its reason says then."""
    return f"user:{version.history_user_id}" if version.history_user_id else "system"
