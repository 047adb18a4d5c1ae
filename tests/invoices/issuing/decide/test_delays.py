"""How long until the next try and the next look-up: growing, with jitter, and never past the last step."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from invoices.issuing.decide.retries import lookup_delay, retry_delay

RETRIES = [30, 120, 300, 900, 1800, 3600]  # after 1, 2, 3 … tries
LOOKUPS = [60, 120, 300, 900, 1800, 3600]  # after 0, 1, 2 … look-ups
EXPECTED = [
    *((retry_delay, count, RETRIES[min(count, 6) - 1]) for count in (1, 2, 3, 4, 5, 6, 7, 1000)),
    *((lookup_delay, count, LOOKUPS[min(count, 5)]) for count in (0, 1, 2, 3, 4, 5, 6, 32_767)),
]


@pytest.mark.parametrize("delay", [retry_delay, lookup_delay])
def test_a_delay_grows_step_by_step_with_a_jitter_of_a_tenth(delay: Callable[[int], timedelta]) -> None:
    for function, count, seconds in EXPECTED:
        if function is delay:
            drawn = [delay(count).total_seconds() for _ in range(300)]
            assert 0.9 * seconds <= min(drawn) < 0.95 * seconds, (count, min(drawn))
            assert 1.05 * seconds < max(drawn) <= 1.1 * seconds, (count, max(drawn))
