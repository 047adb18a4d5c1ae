"""The planted bugs fit the code: each changes it. `make simulate-breaks` shows that it is caught."""

from contextlib import suppress

import pytest

from invoices.issuing.decide.retries import retry_delay
from tests.simulation.breaks.calls import CALLS
from tests.simulation.breaks.edits import BreakHasNoEffect, Edit, edited
from tests.simulation.breaks.planting import EDITS, planted
from tests.simulation.seeds import simulate
from tests.simulation.world.interleave import Interleaver
from tests.simulation.world.world import InvariantBroken

pytestmark = pytest.mark.django_db(transaction=True)
RETRIES = "invoices.issuing.decide.retries"
TAKE = "invoices.issuing.take"


@pytest.mark.parametrize("name", CALLS)
def test_a_break_that_wraps_a_function_changes_what_the_product_does(name: str, interleaver: Interleaver) -> None:
    with planted(name) as effects:
        for seed in (24, 42, 27, 5, 3, *range(100)):  # each break has an effect with one of the first five
            with suppress(InvariantBroken):
                simulate(seed, "forgetful", interleaver)
            if effects.count:
                return
    pytest.fail(f"{name}: no effect in 100 seeds")


@pytest.mark.parametrize("name", EDITS)
def test_a_break_that_edits_the_code_finds_its_text(name: str) -> None:
    with planted(name) as effects:
        assert effects.count


def test_an_edited_function_does_something_else_and_afterwards_the_same_again() -> None:
    known = retry_delay
    with edited((Edit(f"{RETRIES}:retry_delay", "steps = settings.RETRY_STEPS", "steps = [0]"),)):
        assert known(3).total_seconds() == 0
    assert known(3).total_seconds() > 0


@pytest.mark.parametrize(
    ("target", "old", "new"),
    [
        (f"{TAKE}:LOCK_ACCOUNTS", "FOR SHARE OF THE COSTS", ""),  # a text that is gone
        (f"{RETRIES}:retry_delay", "no such text", ""),
        (f"{RETRIES}:retry_delay", "steps =", "steps  ="),  # a change that changes nothing
        (f"{RETRIES}:no_such_function", "steps", ""),
        ("invoices.issuing.no_such_module:retry_delay", "steps", ""),
    ],
)
def test_a_break_that_patches_nothing_fails(target: str, old: str, new: str) -> None:
    with pytest.raises(BreakHasNoEffect), edited((Edit(target, old, new),)):
        pytest.fail("it was planted")
