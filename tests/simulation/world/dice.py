"""The only source of randomness of a seed."""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def maybe(self, probability: float) -> bool:
        return self._random.random() < probability

    def share(self) -> float:
        return self._random.random()

    def between(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

    def count(self, low: int, high: int) -> int:
        return self._random.randint(low, high)

    def one(self, things: Sequence[T]) -> T:
        return self._random.choice(things)

    def some(self, things: Sequence[T], count: int) -> list[T]:
        return self._random.sample(things, min(count, len(things)))

    def pick(self, weighted: Sequence[tuple[float, T]]) -> T:
        return self._random.choices([thing for _, thing in weighted], [weight for weight, _ in weighted])[0]
