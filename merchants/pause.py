"""Hold what an operator wants held: a merchant, an account, a partition. What is owed stays owed, and is not sent.

The pump reads the flag at every take. Look-ups go on, for they only find out what has happened already.
"""

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from config.base import clock


def pause(row: Any, *, actor: str, reason: str) -> bool:
    """Send nothing of it until it is resumed. Returns whether that is new."""
    return _hold(row, True, f"paused: {reason}", actor)


def resume(row: Any, *, actor: str, reason: str) -> bool:
    """Go on with it. Returns whether that is new."""
    return _hold(row, False, f"resumed: {reason}", actor)


def _hold(row: Any, paused: bool, why: str, actor: str) -> bool:
    """`row` is of any model with `paused` and a history, which tells who and why."""
    with transaction.atomic():
        locked = type(row).objects.select_for_update(no_key=True).get(pk=row.pk)
        if locked.paused == paused:
            return False
        locked.paused = row.paused = paused
        locked._change_reason, locked._history_date = why[:100], clock.now()
        if actor.startswith("user:"):
            locked._history_user = User.objects.filter(pk=actor.removeprefix("user:")).first()
        locked.save()
    return True
