"""When a failed delivery is sent again."""

import random

from django.conf import settings

JITTER = 0.1  # of the delay, at most


def retry_delay(attempts: int) -> float | None:
    """Seconds until the next attempt, after this many failed ones; None if the last one was made."""
    if attempts > len(settings.WEBHOOK_STEPS):
        return None
    return settings.WEBHOOK_STEPS[attempts - 1] * random.uniform(1, 1 + JITTER)
