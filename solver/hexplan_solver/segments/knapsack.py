"""Knapsacks of pricing: the cheapest lanes whose steps sum to the target, for many rows at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Knapsack:
    """For every row, the cheapest lanes whose steps sum to the target."""

    costs: NDArray[np.float64]
    """Of supplying each number of steps, shape (rows, steps + 1); infinite if nothing does."""
    _lanes: NDArray[np.int64]
    _steps: NDArray[np.int64]
    """Shape (rows, candidates): the lanes that matter, and their steps."""
    _taken: NDArray[np.int16]
    """Shape (rows, steps + 1): the candidate to take while so many steps are missing."""

    @classmethod
    def solve(
        cls, steps: NDArray[np.int64], prices: NDArray[np.float64], num_steps: int
    ) -> Knapsack:
        """Solve by dynamic programming over the steps that are missing.

        Parameters
        ----------
        steps
            Of each lane in each row: shape (rows, lanes).
        prices
            Of each lane.
        num_steps
            Of the whole target.
        """
        if not prices.size:
            nothing = np.where(np.arange(num_steps + 1) > 0, np.inf, 0.0)
            costs = np.tile(nothing, (len(steps), 1))
            return cls(costs, steps, steps, np.zeros(costs.shape, dtype=np.int16))
        lanes, steps = _undominated(steps, prices)
        num_rows = len(steps)
        cost = np.where(steps > 0, prices[lanes], np.inf)
        best = np.zeros((num_rows, num_steps + 1))
        taken = np.zeros((num_rows, num_steps + 1), dtype=np.int16)
        rows = np.arange(num_rows)
        starts = rows[:, None] * (num_steps + 1)
        flat, before = best.reshape(-1), starts - steps
        for need in range(1, num_steps + 1):
            totals = flat[np.maximum(before + need, starts)]
            totals += cost
            candidate = totals.argmin(axis=1)
            best[:, need] = totals[rows, candidate]
            taken[:, need] = candidate
        return cls(best, lanes, steps, taken)

    @property
    def cost(self) -> NDArray[np.float64]:
        """Of each row; infinite if nothing covers it."""
        return self.costs[:, -1]

    def counts(self, row: int, need: int | None = None) -> Counter[int]:
        """Return how many of each lane a row takes to supply `need` steps, by default all."""
        counts: Counter[int] = Counter()
        taken, steps = self._taken[row].tolist(), self._steps[row].tolist()
        lanes = self._lanes[row].tolist()
        need = len(taken) - 1 if need is None else need
        while need > 0:
            counts[lanes[taken[need]]] += 1
            need -= steps[taken[need]]
        return counts


def _undominated(
    steps: NDArray[np.int64], prices: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the lanes that have more steps than all cheaper ones in a row, and their steps."""
    order = np.argsort(prices, kind="stable")
    ordered = steps[:, order]
    reached = np.maximum.accumulate(ordered, axis=1)
    is_more = ordered > np.pad(reached[:, :-1], ((0, 0), (1, 0)))
    width = max(1, int(is_more.sum(axis=1).max()))
    places = np.argsort(~is_more, axis=1, kind="stable")[:, :width]
    kept = np.where(np.take_along_axis(is_more, places, axis=1), 1, 0)
    return order[places], np.take_along_axis(ordered, places, axis=1) * kept


@dataclass(frozen=True, slots=True)
class LaneZones:
    """Which zone each lane is in, and what it costs that a zone supplies a number of steps."""

    zone_of: NDArray[np.int64]
    """Of each lane."""
    prices: NDArray[np.float64]
    """By what a zone supplies: shape (zones, steps + 1)."""


@dataclass(frozen=True, slots=True)
class ZonedKnapsack:
    """The same for lanes of several zones, if what each zone supplies has a price of its own."""

    cost: NDArray[np.float64]
    """Of each row; infinite if nothing covers it."""
    _zones: Sequence[tuple[NDArray[np.int64], Knapsack]]
    """The lanes of each zone, and the knapsack over them."""
    _supplied: Sequence[NDArray[np.int16]]
    """For each zone, what it supplies if it and those before supply so many steps."""

    @classmethod
    def solve(
        cls, steps: NDArray[np.int64], prices: NDArray[np.float64], zones: LaneZones
    ) -> ZonedKnapsack:
        """Solve zone by zone, then combine what the zones supply."""
        num_zones, width = zones.prices.shape
        knapsacks, supplied = [], []
        totals = np.zeros((len(steps), 0))
        for zone, zone_prices in enumerate(zones.prices):
            lanes = np.flatnonzero(zones.zone_of == zone)
            knapsack = Knapsack.solve(steps[:, lanes], prices[lanes], width - 1)
            # Of the last zone only what completes the whole matters.
            needs = [width - 1] if zone == num_zones - 1 else range(width)
            totals, taken = _combine(totals, knapsack.costs + zone_prices, needs)
            knapsacks.append((lanes, knapsack))
            supplied.append(taken)
        return cls(totals[:, -1], knapsacks, supplied)

    def counts(self, row: int) -> Counter[int]:
        """Return how many of each lane the solution of a row takes."""
        counts: Counter[int] = Counter()
        need = self._supplied[0].shape[1] - 1
        for (lanes, knapsack), supplied in zip(
            self._zones[::-1], self._supplied[::-1], strict=True
        ):
            amount = int(supplied[row, min(need, supplied.shape[1] - 1)])
            for lane, count in knapsack.counts(row, amount).items():
                counts[int(lanes[lane])] += count
            need -= amount
        return counts


def _combine(
    before: NDArray[np.float64], costs: NDArray[np.float64], needs: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.int16]]:
    """Return the least cost of each need from both together, and the steps of the second."""
    num_rows, width = costs.shape
    if not before.size:
        return costs, np.broadcast_to(np.arange(width, dtype=np.int16), costs.shape)
    totals = np.empty((num_rows, len(needs)))
    taken = np.empty((num_rows, len(needs)), dtype=np.int16)
    rows = np.arange(num_rows)
    backward = before[:, ::-1]
    for column, need in enumerate(needs):
        sums = backward[:, width - 1 - need :] + costs[:, : need + 1]
        best = sums.argmin(axis=1)
        totals[:, column], taken[:, column] = sums[rows, best], best
    return totals, taken
