"""The planted bugs fit the code: each changes what the product does. `make simulate-breaks` shows that it is caught."""

import logging
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.simulation.breaks import BREAKS, BreakHasNoEffect, _without, planted
from tests.simulation.seeds import simulate
from tests.simulation.world.interleave import Interleaver
from tests.simulation.world.world import InvariantBroken

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def interleaver() -> Iterator[Interleaver]:
    logging.disable(logging.CRITICAL)
    made = Interleaver()
    yield made
    made.close()
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", BREAKS)
def test_a_break_changes_what_the_product_does(name: str, interleaver: Interleaver) -> None:
    with planted(name) as effects:
        for seed in (24, *range(100)):  # 24 has an effect for the rarest one
            with suppress(InvariantBroken):
                simulate(seed, "forgetful", interleaver)
            if effects.count:
                return
    pytest.fail(f"{name}: no effect in 100 seeds")


def test_a_break_of_sql_that_is_gone_fails() -> None:
    with pytest.raises(BreakHasNoEffect):
        _without("SELECT 1", "FOR UPDATE")
