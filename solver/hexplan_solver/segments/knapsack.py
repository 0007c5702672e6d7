"""Knapsacks of pricing: the cheapest lanes whose steps sum to the grid, for many rows at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Knapsack:
    """For every row at once, the cheapest lanes whose steps sum to the grid."""

    costs: NDArray[np.float64]
    """Of supplying so many steps, shape (rows, grid + 1); infinite where nothing does."""
    _lanes: NDArray[np.int64]
    _steps: NDArray[np.int64]
    """Shape (rows, candidates): the lanes that matter, and their steps."""
    _taken: NDArray[np.int16]
    """Shape (rows, grid + 1): the candidate to take while so many steps are missing."""

    @classmethod
    def solve(cls, steps: NDArray[np.int64], fares: NDArray[np.float64], grid: int) -> Knapsack:
        """Solve by dynamic programming over the steps that are missing."""
        if not fares.size:
            nothing = np.where(np.arange(grid + 1) > 0, np.inf, 0.0)
            costs = np.tile(nothing, (len(steps), 1))
            return cls(costs, steps, steps, np.zeros(costs.shape, dtype=np.int16))
        lanes, steps = _undominated(steps, fares)
        num_rows = len(steps)
        cost = np.where(steps > 0, fares[lanes], np.inf)
        best = np.zeros((num_rows, grid + 1))
        taken = np.zeros((num_rows, grid + 1), dtype=np.int16)
        rows = np.arange(num_rows)
        starts = rows[:, None] * (grid + 1)
        flat, before = best.reshape(-1), starts - steps
        for need in range(1, grid + 1):
            totals = flat[np.maximum(before + need, starts)]
            totals += cost
            candidate = totals.argmin(axis=1)
            best[:, need] = totals[rows, candidate]
            taken[:, need] = candidate
        return cls(best, lanes, steps, taken)

    @property
    def cost(self) -> NDArray[np.float64]:
        """Of each row; infinite where nothing covers it."""
        return self.costs[:, -1]

    def counts(self, row: int, need: int | None = None) -> Counter[int]:
        """Return how many of each lane the solution of a row takes, for all steps or so many."""
        counts: Counter[int] = Counter()
        taken, steps = self._taken[row].tolist(), self._steps[row].tolist()
        lanes = self._lanes[row].tolist()
        need = len(taken) - 1 if need is None else need
        while need > 0:
            counts[lanes[taken[need]]] += 1
            need -= steps[taken[need]]
        return counts


def _undominated(
    steps: NDArray[np.int64], fares: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return, for each row, the lanes of which none cheaper has as many steps, and their steps."""
    order = np.argsort(fares, kind="stable")
    ordered = steps[:, order]
    reached = np.maximum.accumulate(ordered, axis=1)
    is_more = ordered > np.pad(reached[:, :-1], ((0, 0), (1, 0)))
    width = max(1, int(is_more.sum(axis=1).max()))
    places = np.argsort(~is_more, axis=1, kind="stable")[:, :width]
    kept = np.where(np.take_along_axis(is_more, places, axis=1), 1, 0)
    return order[places], np.take_along_axis(ordered, places, axis=1) * kept


@dataclass(frozen=True, slots=True)
class ZonedKnapsack:
    """The same where lanes belong to zones, and what each zone supplies has a price of its own."""

    cost: NDArray[np.float64]
    """Of each row; infinite where nothing covers it."""
    _zones: Sequence[tuple[NDArray[np.int64], Knapsack]]
    """The lanes of each zone, and the knapsack over them."""
    _supplied: Sequence[NDArray[np.int16]]
    """For each zone, what it supplies where it and those before supply so many steps."""

    @classmethod
    def solve(
        cls,
        steps: NDArray[np.int64],
        fares: NDArray[np.float64],
        zones: tuple[NDArray[np.int64], NDArray[np.float64]],
    ) -> ZonedKnapsack:
        """Solve zone by zone, then put what they supply together.

        Parameters
        ----------
        zones
            The zone of each lane, and the price of what each zone supplies: (zones, grid + 1).
        """
        zone_of, tolls = zones
        grid = tolls.shape[1] - 1
        parts, supplied = [], []
        totals = np.zeros((len(steps), 0))
        for zone, toll in enumerate(tolls):
            lanes = np.flatnonzero(zone_of == zone)
            part = Knapsack.solve(steps[:, lanes], fares[lanes], grid)
            # Of the last zone only what completes the whole matters.
            needs = [grid] if zone == len(tolls) - 1 else range(grid + 1)
            totals, taken = _put_together(totals, part.costs + toll, needs)
            parts.append((lanes, part))
            supplied.append(taken)
        return cls(totals[:, -1], parts, supplied)

    def counts(self, row: int) -> Counter[int]:
        """Return how many of each lane the solution of a row takes."""
        counts: Counter[int] = Counter()
        need = self._supplied[0].shape[1] - 1
        for (lanes, part), supplied in zip(self._zones[::-1], self._supplied[::-1], strict=True):
            amount = int(supplied[row, min(need, supplied.shape[1] - 1)])
            for lane, count in part.counts(row, amount).items():
                counts[int(lanes[lane])] += count
            need -= amount
        return counts


def _put_together(
    before: NDArray[np.float64], costs: NDArray[np.float64], needs: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.int16]]:
    """Return the least cost of so many steps from both together, and the steps of the second."""
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
