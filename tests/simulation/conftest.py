"""What the simulation needs in the suite's database."""

import logging
from collections.abc import Iterator

import pytest

from tests.simulation.invariants.takes import note_takes, stop_noting_takes
from tests.simulation.world.interleave import Interleaver


@pytest.fixture
def interleaver() -> Iterator[Interleaver]:
    logging.disable(logging.CRITICAL)  # hundreds of conflicts and dead letters
    note_takes()
    made = Interleaver()
    yield made
    made.close()
    stop_noting_takes()
    logging.disable(logging.NOTSET)
