"""How long until a failed send is tried again, and until the next look-up."""

import random
from datetime import timedelta

from django.conf import settings


def retry_delay(attempts: int) -> timedelta:
    steps = settings.RETRY_STEPS
    return timedelta(seconds=steps[min(attempts, len(steps)) - 1] * random.uniform(0.9, 1.1))


def lookup_delay(asks: int) -> timedelta:
    steps = settings.LOOKUP_STEPS
    return timedelta(seconds=steps[min(asks, len(steps) - 1)] * random.uniform(0.9, 1.1))
