"""Whole numbers in proportion to shares, by largest remainder."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import reduce
from math import gcd

START = 1_000
MOST = 1_000_000
"""The largest weight of a Gateway API backend."""


def whole_weights(shares: Sequence[Fraction]) -> tuple[int, ...]:
    """Return whole numbers whose ratios are near those of some shares.

    They sum to 1,000, or to a larger power of ten where a share would round to 0, and are divided
    by their common divisor. Each is at least 1, as 0 would close a way that the plan uses.

    Parameters
    ----------
    shares
        Above 0; they need not sum to 1.
    """
    total = START
    while True:
        weights = largest_remainder(shares, total)
        if all(weights) or total == MOST:
            break
        total *= 10
    weights = tuple(max(1, weight) for weight in weights)
    common = reduce(gcd, weights)
    return tuple(weight // common for weight in weights)


def largest_remainder(shares: Sequence[Fraction], total: int) -> tuple[int, ...]:
    """Return whole numbers in proportion to shares that sum to a total.

    Each is its exact part rounded down, and those with the largest remainders get one more; of
    equal remainders, the first.
    """
    whole = sum(shares, Fraction(0))
    parts = [share * total / whole for share in shares]
    floors = [part.numerator // part.denominator for part in parts]
    missing = total - sum(floors)
    by_remainder = sorted(range(len(parts)), key=lambda i: (floors[i] - parts[i], i))
    for index in by_remainder[:missing]:
        floors[index] += 1
    return tuple(floors)
