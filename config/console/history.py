"""The differences between two versions of a row, without secrets and personal data."""

from typing import Any, NamedTuple

from django.utils import timezone

NOTHING, HIDDEN = "–", "•••"
# Personal data and fingerprints of secrets: a change is shown, the values are not.
HIDDEN_FIELDS = frozenset({"email", "phone", "credentials_fingerprint"})
IGNORED_FIELDS = frozenset({"id", "created_at", "updated_at"})
MAX_LENGTH = 200  # characters


class Difference(NamedTuple):
    field: str
    old: str
    new: str


def differences(version: Any, before: Any) -> list[Difference]:
    """The fields that differ between two history rows of one object."""
    changed = []
    for field in version.tracked_fields:  # diff_against would leave out fields without a form, such as deleted_at
        old, new = getattr(before, field.attname), getattr(version, field.attname)
        if old != new and field.name not in IGNORED_FIELDS:
            hide = field.name in HIDDEN_FIELDS
            texts = [
                NOTHING if value in (None, "") else HIDDEN if hide else _text(field, value) for value in (old, new)
            ]
            changed.append(Difference(str(field.verbose_name), *texts))
    return changed


def _text(field: Any, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if hasattr(value, "astimezone"):
        return f"{timezone.localtime(value):%Y-%m-%d %H:%M:%S}"
    text = str(dict(field.flatchoices).get(value, value))
    return text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH - 1] + "…"


def actor_of(version: Any) -> str:
    """ "user:7" for an operator, else "system"; then the version's reason says which program wrote it."""
    return f"user:{version.history_user_id}" if version.history_user_id else "system"
