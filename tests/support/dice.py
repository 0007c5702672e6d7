"""Random draws that repeat for a seed."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from random import Random
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """Draws from one seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def number(self, low: int, high: int) -> int:
        """Draw a whole number, both ends included."""
        return self._random.randint(low, high)

    def chance(self, share: float) -> bool:
        """Draw whether something that happens so often happens now."""
        return self._random.random() < share

    def pick(self, choices: Sequence[T]) -> T:
        """Draw one of several."""
        return self._random.choice(choices)

    def some(self, choices: Sequence[T], count: int) -> list[T]:
        """Draw several without repeats, at most so many."""
        return self._random.sample(choices, min(count, len(choices)))

    def scale(self, low: float, high: float) -> float:
        """Draw a number whose logarithm is uniform, with three digits."""
        drawn = low * (high / low) ** self._random.random()
        return float(f"{drawn:.3g}")

    def exact(self, low: float, high: float) -> Decimal:
        """Draw as `scale` does, as a decimal."""
        return Decimal(repr(self.scale(low, high)))
