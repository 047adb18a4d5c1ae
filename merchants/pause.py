"""Pause and resume a merchant, an account or a partition. Its invoices stay due and are not sent.

Workers read the flag at every take. Look-ups continue: they send nothing.
"""

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from config.base import clock


def pause(row: Any, *, actor: str, reason: str) -> bool:
    """Send none of its invoices until it is resumed. Returns False if it was already paused."""
    return _set_paused(row, True, f"paused: {reason}", actor)


def resume(row: Any, *, actor: str, reason: str) -> bool:
    """Send its invoices again. Returns False if it was not paused."""
    return _set_paused(row, False, f"resumed: {reason}", actor)


def _set_paused(row: Any, paused: bool, reason: str, actor: str) -> bool:
    """`row` is of any model with `paused` and a history. Returns whether the flag changed."""
    with transaction.atomic():
        locked = type(row).objects.select_for_update(no_key=True).get(pk=row.pk)
        if locked.paused == paused:
            return False
        locked.paused = row.paused = paused
        locked._change_reason, locked._history_date = reason[:100], clock.now()
        if actor.startswith("user:"):
            locked._history_user = User.objects.filter(pk=actor.removeprefix("user:")).first()
        locked.save()
    return True
