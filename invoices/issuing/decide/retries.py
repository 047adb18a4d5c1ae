"""The time until the next retry of a send, and until the next look-up."""

import random
from datetime import timedelta

from django.conf import settings


def retry_delay(attempts: int) -> timedelta:
    """After that many attempts: 1 and more."""
    steps = settings.RETRY_STEPS
    return timedelta(seconds=steps[min(attempts, len(steps)) - 1] * random.uniform(0.9, 1.1))


def lookup_delay(lookups: int) -> timedelta:
    """After that many look-ups: 0 and more."""
    steps = settings.LOOKUP_STEPS
    return timedelta(seconds=steps[min(lookups, len(steps) - 1)] * random.uniform(0.9, 1.1))
