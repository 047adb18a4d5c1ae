from collections.abc import Iterator

import pytest

from invoices.dev.simulator import Simulator, running
from tests.invoices.providers.wire import TENANT


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with running(tenants=[TENANT]) as simulator:
        yield simulator
