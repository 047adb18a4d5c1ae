"""100 seeds of each personality: no invoice is issued twice or lost. `make simulate SEEDS=10000` runs more."""

import pytest

from tests.simulation.seeds import simulate
from tests.simulation.world.interleave import Interleaver
from tests.simulation.world.vendor import PERSONALITIES
from tests.simulation.world.world import InvariantBroken

pytestmark = pytest.mark.django_db(transaction=True)
CHUNK = 25


@pytest.mark.parametrize("first", range(0, 100, CHUNK))
@pytest.mark.parametrize("personality", PERSONALITIES)
def test_no_seed_issues_an_invoice_twice_or_loses_one(personality: str, first: int, interleaver: Interleaver) -> None:
    for seed in range(first, first + CHUNK):
        try:
            simulate(seed, personality, interleaver)
        except InvariantBroken as broken:
            journal = "\n".join(broken.journal)
            pytest.fail(f"{journal}\n{broken}\nmake simulate SEED={seed} PERSONALITY={personality}", pytrace=False)
