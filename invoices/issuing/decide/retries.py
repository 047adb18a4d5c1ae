"""The time until the next retry of a send, and until the next look-up."""

import random
from datetime import timedelta

from django.conf import settings


def retry_delay(attempts: int) -> timedelta:
    """The delay after that many attempts, at least 1."""
    steps = settings.RETRY_STEPS
    return timedelta(seconds=steps[min(attempts, len(steps)) - 1] * random.uniform(0.9, 1.1))


def lookup_delay(lookups: int) -> timedelta:
    """The delay after that many look-ups, at least 0."""
    steps = settings.LOOKUP_STEPS
    return timedelta(seconds=steps[min(lookups, len(steps) - 1)] * random.uniform(0.9, 1.1))
