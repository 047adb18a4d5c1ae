"""Never twice, never lost: a few hundred seeds of both personalities. `make simulate SEEDS=10000` runs long."""

import logging
from collections.abc import Iterator

import pytest

from tests.simulation.interleave import Interleaver
from tests.simulation.seeds import simulate
from tests.simulation.vendor import PERSONALITIES
from tests.simulation.world import InvariantBroken

pytestmark = pytest.mark.django_db(transaction=True)
CHUNK = 25


@pytest.fixture
def interleaver() -> Iterator[Interleaver]:
    logging.disable(logging.CRITICAL)  # conflicts and dead letters by the hundred
    made = Interleaver()
    yield made
    made.close()
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("first", range(0, 100, CHUNK))
@pytest.mark.parametrize("personality", PERSONALITIES)
def test_no_seed_makes_two_invoices_or_loses_one(personality: str, first: int, interleaver: Interleaver) -> None:
    for seed in range(first, first + CHUNK):
        try:
            simulate(seed, personality, interleaver)
        except InvariantBroken as broken:
            story = "\n".join(broken.journal)
            pytest.fail(f"{story}\n{broken}\nmake simulate SEED={seed} PERSONALITY={personality}", pytrace=False)
