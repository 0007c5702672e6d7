"""The cheapest parts that hold a number of layers together: a knapsack cover."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Offer:
    """A part with the layers that it holds, its price, and how often it may be taken."""

    layers: int
    price: float
    count: int


@dataclass(frozen=True, slots=True)
class Cover:
    """The cheapest choice."""

    price: float
    taken: tuple[int, ...]
    """How often each offer is taken."""


def cheapest_cover(offers: Sequence[Offer], need: int, most: int) -> Cover | None:
    """Return the cheapest offers that hold at least `need` layers; None if none do.

    Parameters
    ----------
    most
        The most offers that may be taken, each counted as often as it is.
    """
    if need <= 0:
        return Cover(0.0, (0,) * len(offers))
    items = [
        (i, count)
        for i, offer in enumerate(offers)
        if offer.layers > 0
        for count in _binary(min(offer.count, most, -(-need // offer.layers)))
    ]
    is_bounded = most < sum(count for _, count in items)
    depth = most if is_bounded else 0
    cost = np.full((depth + 1, need + 1), np.inf)
    cost[:, 0] = 0.0
    better: list[np.ndarray[tuple[int, ...], np.dtype[np.bool_]]] = []
    for i, count in items:
        held, price = offers[i].layers * count, offers[i].price * count
        before = cost
        if is_bounded:
            before = np.full_like(cost, np.inf)
            if count <= depth:
                before[count:] = cost[: depth + 1 - count]
        with_it = np.empty_like(cost)
        reach = min(held, need + 1)
        with_it[:, :reach] = before[:, :1] + price
        with_it[:, reach:] = before[:, : need + 1 - reach] + price
        is_better = with_it < cost
        cost = np.where(is_better, with_it, cost)
        better.append(is_better)
    if not np.isfinite(cost[depth, need]):
        return None
    taken = [0] * len(offers)
    left, row = need, depth
    for (i, count), is_better in zip(reversed(items), reversed(better), strict=True):
        if is_better[row, left]:
            taken[i] += count
            left = max(0, left - offers[i].layers * count)
            row -= count if is_bounded else 0
    return Cover(float(cost[depth, need]), tuple(taken))


def _binary(count: int) -> list[int]:
    """Split a count into parts whose sums give every number up to it."""
    parts, size = [], 1
    while count > 0:
        parts.append(min(size, count))
        count -= parts[-1]
        size *= 2
    return parts
