"""Pricing of covers: for given prices, the cheapest cover of each number of layers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hexplan_solver.placement.covers import Lane, Segment, Speeds
from hexplan_solver.problem.problem import Problem
from hexplan_solver.segments.borders import Border
from hexplan_solver.segments.knapsack import Knapsack, ZonedKnapsack

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
    row_of: dict[tuple[int, int], int]
    """By ends and number of layers."""
    lane_of: dict[tuple[int, int], int]
    """By speed and number of stages."""

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
        speed = np.tile(np.arange(num_speeds), longest)
        num_stages = np.repeat(np.arange(1, longest + 1), num_speeds)
        rows = zip(ends.tolist(), num_layers.tolist(), strict=True)
        lanes = zip(speed.tolist(), num_stages.tolist(), strict=True)
        return cls(
            ends,
            num_layers,
            rates[ends, num_layers],
            speed,
            num_stages,
            {row: i for i, row in enumerate(rows)},
            {lane: i for i, lane in enumerate(lanes)},
        )

    def rate(self, segment: Segment, lane: Lane) -> int:
        """Return the speed of a lane over a segment."""
        row = self.row_of[segment.ends[0] + 2 * segment.ends[1], segment.num_layers]
        return int(self.rates[row, self.lane_of[lane.speed, lane.num_stages]])

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

    def __init__(
        self, table: CoverTable, target: int, grid: int, border: Border | None = None
    ) -> None:
        self._border = border
        self._table = table
        self._target = target
        self._grid = grid
        # Rounded to the nearest: errors of several stages even out.
        steps = np.rint(table.rates * (grid / target)).astype(np.int64)
        self._steps = np.minimum(steps, grid)

    def cheapest(
        self,
        prices: NDArray[np.float64],
        ends: tuple[float, float],
        least_gain: float,
        toll: float = 0.0,
    ) -> list[Segment]:
        """Return the cheapest cover of each row whose layers exceed its price by enough.

        Parameters
        ----------
        prices
            Of a stage of each speed, in layers.
        ends
            Of holding the first and the last layer.
        toll
            Of what lies outside the border, for a share of the target.
        """
        table = self._table
        fares = prices[table.speed] * table.num_stages
        knapsack = self._knapsack(fares, toll)
        tolls = (table.ends & 1) * ends[0] + (table.ends >> 1) * ends[1]
        gains = table.num_layers - tolls - knapsack.cost
        rows = np.flatnonzero(np.isfinite(knapsack.cost) & (gains > least_gain)).tolist()
        return [self._segment(row, knapsack.counts(row), fares) for row in rows]

    def _knapsack(self, fares: NDArray[np.float64], toll: float) -> Knapsack | ZonedKnapsack:
        if self._border is None:
            return Knapsack.solve(self._steps, fares, self._grid)
        zones = np.array(self._border.zone_of_speed)[self._table.speed]
        return ZonedKnapsack.solve(
            self._steps, fares, (zones, toll * self._border.outside(self._grid))
        )

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
