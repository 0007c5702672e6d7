"""Pricing of covers: for given prices, the cheapest cover of each number of layers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hexplan_solver.covers import Lane, Segment, Speeds
from hexplan_solver.problem import Problem

GRIDS = (150, 600)
"""Speeds are rounded to this many parts of the target: first roughly, then finely."""
SHORT = 0.002
"""Share of the target by which a cover may miss it, for want of a finer grid."""


@dataclass(frozen=True, slots=True)
class CoverTable:
    """What lanes pass: one row for each number of layers and ends of the model.

    A lane is so many stages of one speed, one after the other, over all layers of a segment.
    """

    ends: NDArray[np.int64]
    """1 where the first layer is held, 2 where the last is, 3 where both are."""
    num_layers: NDArray[np.int64]
    rates: NDArray[np.int64]
    """Shape (rows, lanes), in 1e-6 tokens/s."""
    speed: NDArray[np.int64]
    """Of each sort of lane."""
    num_stages: NDArray[np.int64]
    """Of each sort of lane."""

    @classmethod
    def of(cls, problem: Problem, speeds: Speeds, longest: int) -> CoverTable:
        """List lanes of up to `longest` stages, over every number of layers that they can hold."""
        tables = np.array(
            [problem.kinds[kinds[0]].rates.by_layers for kinds in speeds.kinds], dtype=np.int64
        )
        by_stages = [_lane_rates(tables, m) for m in range(1, longest + 1)]
        rates = np.concatenate(by_stages, axis=2)
        ends, num_layers = np.nonzero(rates.any(axis=2))
        num_speeds = len(speeds.kinds)
        return cls(
            ends,
            num_layers,
            rates[ends, num_layers],
            np.tile(np.arange(num_speeds), longest),
            np.repeat(np.arange(1, longest + 1), num_speeds),
        )

    def work(self, target: int) -> NDArray[np.float64]:
        """Return how many layers one stage of each speed is worth at most, at a target."""
        useful = np.minimum(self.rates, target) / target * self.num_layers[:, None]
        by_lane = useful.max(axis=0) / self.num_stages
        best = np.zeros(int(self.speed.max()) + 1)
        np.maximum.at(best, self.speed, by_lane)
        return best


def _lane_rates(tables: NDArray[np.int64], num_stages: int) -> NDArray[np.int64]:
    """Return the speed of lanes of so many stages, as an array [ends, layers, speed].

    The stage with most layers sets the pace, and the ends of the model slow theirs down.
    """
    total = tables.shape[3] - 1
    layers = np.arange(total + 1)
    longest = -(-layers // num_stages)
    rates = np.zeros((4, total + 1, len(tables)), dtype=np.int64)
    for ends in range(4):
        first, last = ends & 1, ends >> 1
        if num_stages == 1:
            rates[ends] = tables[:, first, last].T
            continue
        pace = tables[:, 0, 0, longest]
        if first:
            pace = np.minimum(pace, tables[:, 1, 0, longest])
        if last:
            pace = np.minimum(pace, tables[:, 0, 1, longest])
        # A lane of fewer stages does as much where the longest of them is no longer.
        is_useful = longest < -(-layers // (num_stages - 1))
        is_useful &= (layers == total) if ends == 3 else (layers < total)
        rates[ends] = np.where(is_useful, pace, 0).T
    return rates


class CoverPricer:
    """Finds cheapest covers: a knapsack for every row at once."""

    def __init__(self, table: CoverTable, target: int, grid: int) -> None:
        self._table = table
        self._target = target
        self._grid = grid
        # Rounded to the nearest: errors of several stages even out.
        steps = np.rint(table.rates * (grid / target)).astype(np.int64)
        self._steps = np.minimum(steps, grid)

    def cheapest(
        self, prices: NDArray[np.float64], ends: tuple[float, float], least_gain: float
    ) -> list[Segment]:
        """Return the cheapest cover of each row whose layers exceed its price by enough.

        Parameters
        ----------
        prices
            Of a stage of each speed, in layers.
        ends
            Of holding the first and the last layer.
        """
        table = self._table
        fares = prices[table.speed] * table.num_stages
        knapsack = _Knapsack.solve(self._steps, fares, self._grid)
        tolls = (table.ends & 1) * ends[0] + (table.ends >> 1) * ends[1]
        gains = table.num_layers - tolls - knapsack.cost
        rows = np.flatnonzero(np.isfinite(knapsack.cost) & (gains > least_gain)).tolist()
        return [self._segment(row, knapsack.counts(row), fares) for row in rows]

    def _segment(self, row: int, counts: Counter[int], fares: NDArray[np.float64]) -> Segment:
        """Complete what rounding left short, and drop what the cover does not need."""
        table, rates = self._table, self._table.rates[row]
        needed = self._target - int(self._target * SHORT)
        total = sum(int(rates[lane]) * n for lane, n in counts.items())
        by_fare = sorted(counts, key=lambda lane: (-fares[lane], lane))
        while total < needed:
            counts[by_fare[-1]] += 1
            total += int(rates[by_fare[-1]])
        for lane in by_fare:
            while counts[lane] and total - int(rates[lane]) >= needed:
                counts[lane] -= 1
                total -= int(rates[lane])
        ends = int(table.ends[row])
        lanes = (
            Lane(int(table.speed[lane]), int(table.num_stages[lane]), n)
            for lane, n in sorted(counts.items())
            if n
        )
        return Segment((bool(ends & 1), bool(ends & 2)), int(table.num_layers[row]), tuple(lanes))


@dataclass(frozen=True, slots=True)
class _Knapsack:
    """For every row at once, the cheapest lanes whose steps sum to the grid."""

    cost: NDArray[np.float64]
    """Of each row; infinite where nothing covers it."""
    _lanes: NDArray[np.int64]
    _steps: NDArray[np.int64]
    """Shape (rows, candidates): the lanes that matter, and their steps."""
    _taken: NDArray[np.int16]
    """Shape (rows, grid + 1): the candidate to take while so many steps are missing."""

    @classmethod
    def solve(cls, steps: NDArray[np.int64], fares: NDArray[np.float64], grid: int) -> _Knapsack:
        """Solve by dynamic programming over the steps that are missing."""
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
        return cls(best[:, grid], lanes, steps, taken)

    def counts(self, row: int) -> Counter[int]:
        """Return how many of each lane the solution of a row takes."""
        counts: Counter[int] = Counter()
        taken, steps = self._taken[row].tolist(), self._steps[row].tolist()
        lanes, need = self._lanes[row].tolist(), len(taken) - 1
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
