"""Pricing of covers: for given prices, the cheapest cover of each number of layers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hexplan_solver.placement.rate_classes import RateClasses
from hexplan_solver.problem.problem import Problem
from hexplan_solver.segments.knapsack import Knapsack, LaneZones, ZonedKnapsack
from hexplan_solver.segments.params import SEGMENT_PARAMS, SegmentParams
from hexplan_solver.segments.segment import Lane, Segment
from hexplan_solver.segments.zone_bands import ZoneBand


@dataclass(frozen=True, slots=True)
class Prices:
    """What a segment pays for what it takes, in layers."""

    stages: NDArray[np.float64]
    """For one stage of each rate class."""
    ends: tuple[float, float] = (0.0, 0.0)
    """For holding the first and the last layer."""
    imbalance: float = 0.0
    """For an imbalance of one target."""


@dataclass(frozen=True, slots=True)
class LaneTable:
    """The rates of lanes: one row for each number of layers and ends of the model."""

    classes: RateClasses
    ends: NDArray[np.int64]
    """Of each row: 1 if the first layer is held, 2 if the last is, 3 if both are."""
    num_layers: NDArray[np.int64]
    """Of each row."""
    rates: NDArray[np.int64]
    """Shape (rows, lanes), in 1e-6 tokens/s."""
    rate_class: NDArray[np.int64]
    """Of each sort of lane."""
    num_stages: NDArray[np.int64]
    """Of each sort of lane."""
    row_of: dict[tuple[int, int], int]
    """By ends and number of layers."""
    lane_of: dict[tuple[int, int], int]
    """By rate class and number of stages."""

    @classmethod
    def of(cls, problem: Problem, classes: RateClasses, longest: int) -> LaneTable:
        """List lanes of up to `longest` stages, over every number of layers that they can hold."""
        tables = np.array(
            [problem.kinds[kinds[0]].rates.by_layers for kinds in classes.kinds], dtype=np.int64
        )
        by_stages = [_lane_rates(tables, m) for m in range(1, longest + 1)]
        rates = np.concatenate(by_stages, axis=2)
        ends, num_layers = np.nonzero(rates.any(axis=2))
        rate_class = np.tile(np.arange(len(classes)), longest)
        num_stages = np.repeat(np.arange(1, longest + 1), len(classes))
        rows = zip(ends.tolist(), num_layers.tolist(), strict=True)
        lanes = zip(rate_class.tolist(), num_stages.tolist(), strict=True)
        return cls(
            classes,
            ends,
            num_layers,
            rates[ends, num_layers],
            rate_class,
            num_stages,
            {row: i for i, row in enumerate(rows)},
            {lane: i for i, lane in enumerate(lanes)},
        )

    def rate(self, segment: Segment, lane: Lane) -> int:
        """Return the rate of a lane over a segment."""
        row = self.row_of[segment.ends[0] + 2 * segment.ends[1], segment.num_layers]
        return int(self.rates[row, self.lane_of[lane.rate_class, lane.num_stages]])

    def work(self, target: int) -> NDArray[np.float64]:
        """Return the most layers that one stage of each rate class is worth, at a target."""
        useful = np.minimum(self.rates, target) / target * self.num_layers[:, None]
        by_lane = useful.max(axis=0) / self.num_stages
        best = np.zeros(len(self.classes))
        np.maximum.at(best, self.rate_class, by_lane)
        return best


def _lane_rates(tables: NDArray[np.int64], num_stages: int) -> NDArray[np.int64]:
    """Return the rate of lanes of so many stages, as an array [ends, layers, rate class].

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
        # A lane of fewer stages does as much if the longest of them is no longer.
        is_useful = longest < -(-layers // (num_stages - 1))
        is_useful &= (layers == total) if ends == 3 else (layers < total)
        rates[ends] = np.where(is_useful, pace, 0).T
    return rates


class CoverPricer:
    """Finds cheapest covers at one target: a knapsack for every row of the table at once."""

    def __init__(
        self,
        table: LaneTable,
        target: int,
        num_steps: int,
        band: ZoneBand | None = None,
        params: SegmentParams = SEGMENT_PARAMS,
    ) -> None:
        self._table, self._target, self._band = table, target, band
        self._num_steps, self._shortfall = num_steps, params.shortfall
        # Rounded to the nearest, as the errors of several stages even out.
        steps = np.rint(table.rates * (num_steps / target)).astype(np.int64)
        self._steps = np.minimum(steps, num_steps)

    def cheapest(self, prices: Prices, least_gain: float) -> list[Segment]:
        """Return the cheapest cover of each row whose layers exceed its price by `least_gain`."""
        table = self._table
        lane_prices = prices.stages[table.rate_class] * table.num_stages
        knapsack = self._knapsack(lane_prices, prices.imbalance)
        end_prices = (table.ends & 1) * prices.ends[0] + (table.ends >> 1) * prices.ends[1]
        gains = table.num_layers - end_prices - knapsack.cost
        rows = np.flatnonzero(np.isfinite(knapsack.cost) & (gains > least_gain)).tolist()
        return [self._segment(row, knapsack.counts(row), lane_prices) for row in rows]

    def _knapsack(
        self, lane_prices: NDArray[np.float64], imbalance_price: float
    ) -> Knapsack | ZonedKnapsack:
        if self._band is None:
            return Knapsack.solve(self._steps, lane_prices, self._num_steps)
        zone_of = np.array(self._band.zone_of_class)[self._table.rate_class]
        zone_prices = imbalance_price * self._band.imbalance_by_steps(self._num_steps)
        return ZonedKnapsack.solve(self._steps, lane_prices, LaneZones(zone_of, zone_prices))

    def _segment(self, row: int, counts: Counter[int], lane_prices: NDArray[np.float64]) -> Segment:
        """Add what rounding left short, and drop what the cover does not need."""
        table, rates = self._table, self._table.rates[row]
        needed = self._target - int(self._target * self._shortfall)
        total = sum(int(rates[lane]) * n for lane, n in counts.items())
        dearest_first = sorted(counts, key=lambda lane: (-lane_prices[lane], lane))
        while total < needed:
            counts[dearest_first[-1]] += 1
            total += int(rates[dearest_first[-1]])
        for lane in dearest_first:
            while counts[lane] and total - int(rates[lane]) >= needed:
                counts[lane] -= 1
                total -= int(rates[lane])
        ends = int(table.ends[row])
        lanes = (
            Lane(int(table.rate_class[lane]), int(table.num_stages[lane]), n)
            for lane, n in sorted(counts.items())
            if n
        )
        return Segment((bool(ends & 1), bool(ends & 2)), int(table.num_layers[row]), tuple(lanes))
