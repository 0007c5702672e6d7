"""The pool of segments that a relaxation wants: column generation by the prices of its rows."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hexplan_solver.placement.rate_classes import GroupSupply
from hexplan_solver.problem.problem import Problem
from hexplan_solver.segments.column_lp import ColumnLp, LpColumn, RowBounds
from hexplan_solver.segments.params import SEGMENT_PARAMS, SegmentParams
from hexplan_solver.segments.pricing import CoverPricer, LaneTable, Prices
from hexplan_solver.segments.segment import Segment
from hexplan_solver.segments.zone_bands import ZoneBand


class SegmentPool:
    """The restricted relaxation at one target: hold the most layers with what hosts can form.

    Rows: those of the supply (rate classes and sets of hosts), and one each for the first and the
    last layer, which one segment holds. With a zone band, one more for the imbalance.
    """

    def __init__(
        self,
        problem: Problem,
        table: LaneTable,
        target: int,
        band: ZoneBand | None = None,
        params: SegmentParams = SEGMENT_PARAMS,
    ) -> None:
        self.segments: list[Segment] = []
        self.layers = 0.0
        """Layers that the relaxation can hold at the target; negative if not even both ends."""
        self.band = band
        self.imbalances: list[float] = []
        """Of each segment, in targets."""
        # With a band, pricing on fine steps takes long, and covers are completed anyway.
        self.step_grids = params.step_grids if band is None else params.step_grids[:1]
        self._table, self._target, self._params = table, target, params
        self._num_layers = problem.num_layers
        self._worth = table.work(target)
        self._prices = Prices(self._worth)
        self._known: set[Segment] = set()
        supply = GroupSupply.of(problem, table.classes)
        self._first_end_row = len(supply.limits)
        """The row of the first layer; that of the last follows, then that of the imbalance."""
        self._program = _program(supply, band, params.end_penalty)

    def start_at_prices_of(self, other: SegmentPool) -> None:
        """Begin with the prices of a pool for a nearby target: that spares most rounds."""
        self._prices = other._prices

    def take_over(self, other: SegmentPool) -> None:
        """Take the segments and prices of a pool for a larger target: they do for this one."""
        self._add(other.segments)
        self._prices = other._prices

    def generate(self, step_grids: Sequence[int], until: float) -> None:
        """Price covers and solve the relaxation in turn until nothing improves, or only little."""
        params = self._params
        for num_steps in step_grids:
            pricer = CoverPricer(self._table, self._target, num_steps, self.band, params)
            reached = [0.0]
            for _ in range(params.rounds):
                if not self._add_improving(pricer):
                    break
                self._prices = self._solve()
                reached.append(self.layers)
                if time.monotonic() > until:
                    return
                enough = params.enough_layers * self._num_layers
                if self.band is not None and self.layers >= enough:
                    break
                if self._is_stalled(reached):
                    break

    def vary(self, seed: int, until: float) -> None:
        """Add segments that are cheapest at other prices, and nearly worth the best ones.

        They help if no whole numbers of the relaxation's own segments hold all layers.
        """
        rng, params = np.random.default_rng(seed), self._params
        pricer = CoverPricer(self._table, self._target, self.step_grids[-1], self.band, params)
        prices = self._prices
        for _ in range(params.variations):
            if time.monotonic() > until:
                return
            factors = 1 + params.variation * rng.uniform(-1, 1, len(prices.stages))
            varied = replace(prices, stages=prices.stages * factors)
            self._add(pricer.cheapest(varied, -2 * params.nearly), -params.nearly)

    def _is_stalled(self, reached: Sequence[float]) -> bool:
        rounds = self._params.stall_rounds
        is_old_enough = len(reached) > rounds
        return is_old_enough and reached[-1] - reached[-1 - rounds] < self._params.stall_layers

    def _add_improving(self, pricer: CoverPricer) -> bool:
        """Add the segments that are worth more than their prices; say whether there are any."""
        least_gain = self._params.least_gain if self.segments else -np.inf
        raised = self._prices.stages + self._params.tie * self._worth
        priced = pricer.cheapest(replace(self._prices, stages=raised), least_gain)
        return self._add(priced, least_gain)

    def _add(self, segments: Sequence[Segment], least_gain: float = -np.inf) -> bool:
        """Add those that are new and gain enough at the present prices; say whether any do."""
        columns = []
        for segment in segments:
            if segment in self._known:
                continue
            imbalance = self._imbalance(segment)
            if self._gain(segment) - self._prices.imbalance * imbalance <= least_gain:
                continue
            columns.append(self._column(segment, imbalance))
            self.segments.append(segment)
            self.imbalances.append(imbalance)
            self._known.add(segment)
        self._program.add(columns)
        return bool(columns)

    def _column(self, segment: Segment, imbalance: float) -> LpColumn:
        entries = [(rate_class, float(count)) for rate_class, count in segment.stage_counts]
        entries += [(self._first_end_row + end, 1.0) for end in (0, 1) if segment.ends[end]]
        if self.band is not None:
            entries.append((self._first_end_row + 2, imbalance))
        return LpColumn(float(segment.num_layers), entries)

    def _imbalance(self, segment: Segment) -> float:
        if self.band is None:
            return 0.0
        supplied = [0.0] * self.band.lows.size
        for lane in segment.lanes:
            rate = self._table.rate(segment, lane)
            supplied[self.band.zone_of_class[lane.rate_class]] += rate * lane.count / self._target
        return self.band.imbalance(supplied)

    def _gain(self, segment: Segment) -> float:
        """Return by how many layers a segment exceeds its price, its imbalance left out."""
        prices = self._prices
        cost = sum(n * float(prices.stages[rate_class]) for rate_class, n in segment.stage_counts)
        cost += sum(price for price, held in zip(prices.ends, segment.ends, strict=True) if held)
        return segment.num_layers - cost

    def _solve(self) -> Prices:
        """Solve the relaxation and return its prices."""
        self.layers, duals = self._program.solve()
        stages = np.maximum(np.array(duals[: len(self._table.classes)]), 0.0)
        ends = duals[self._first_end_row], duals[self._first_end_row + 1]
        imbalance = max(0.0, duals[-1]) if self.band is not None else 0.0
        return Prices(stages, ends, imbalance)


def _program(supply: GroupSupply, band: ZoneBand | None, end_penalty: float) -> ColumnLp:
    """Return the program without segments: what hosts form, and ends left out at a penalty."""
    num_rows = len(supply.limits)
    rows = [RowBounds(-math.inf, float(limit)) for limit in supply.limits]
    rows += [RowBounds(1.0, 1.0)] * 2
    if band is not None:
        rows.append(RowBounds(-math.inf, band.allowed))
    program = ColumnLp(rows)
    columns = [
        LpColumn(0.0, [(int(row), float(column[row])) for row in np.flatnonzero(column)])
        for column in supply.matrix.T
    ]
    columns += [LpColumn(-end_penalty, [(num_rows + end, 1.0)]) for end in (0, 1)]
    program.add(columns)
    return program
