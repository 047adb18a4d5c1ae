from collections.abc import Iterator

import pytest

from config.base import clock


@pytest.fixture
def stopped_clock() -> Iterator[None]:
    with clock.frozen(clock.now()):
        yield
