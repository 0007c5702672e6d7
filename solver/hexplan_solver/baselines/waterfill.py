"""Layers in proportion to power, within the room of each machine."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction


def water_fill(total: int, powers: Sequence[Fraction], rooms: Sequence[int]) -> list[int] | None:
    """Split whole layers over machines in proportion to power, up to each one's room.

    The share of machine i is `min(room_i, level * power_i)`, with the level at which the shares sum
    to the total. They are rounded by largest remainder, the earlier machine first if two are equal.
    Returns None if the rooms are too small.
    """
    if sum(rooms) < total:
        return None
    shares: list[Fraction] = [Fraction(0)] * len(rooms)
    open_ones = sorted(range(len(rooms)), key=lambda i: Fraction(rooms[i]) / powers[i])
    left, power = Fraction(total), sum(powers, Fraction(0))
    for position, i in enumerate(open_ones):
        if left * powers[i] < rooms[i] * power:
            for j in open_ones[position:]:
                shares[j] = left * powers[j] / power
            break
        shares[i] = Fraction(rooms[i])
        left, power = left - rooms[i], power - powers[i]
    counts = [int(share) for share in shares]
    by_remainder = sorted(range(len(rooms)), key=lambda i: (counts[i] - shares[i], i))
    for i in by_remainder[: total - sum(counts)]:
        counts[i] += 1
    return counts
