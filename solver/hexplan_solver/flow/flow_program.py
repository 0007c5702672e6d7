"""The flow LP of a placement as arrays, for a search that values thousands of placements.

`priced_flow` solves the same LP arc by arc. Here stages of one host with the same layers count as
one: they have the same links, and what limits their links is shared by the whole host.
"""

from __future__ import annotations

import numpy as np

from hexplan.constants import MICRO
from hexplan.field_types import Range
from hexplan_solver.flow.arc_columns import ArcColumns, flow_highs
from hexplan_solver.flow.arcs import StageArrays, arcs_between
from hexplan_solver.flow.evaluate import evaluate
from hexplan_solver.flow.link_arrays import LinkArrays
from hexplan_solver.flow.params import FLOW_PARAMS
from hexplan_solver.placement.placement import Placement
from hexplan_solver.problem.problem import Problem

NO_PRICE = 1e-7
"""Prices below HiGHS's tolerance of dual feasibility say nothing."""

Limiting = frozenset[tuple[str, Range]]
"""Stages that limit a flow, by host and layers."""


class FlowProgram:
    """Computes the largest flow of many placements of one problem, every capacity counted."""

    def __init__(self, problem: Problem) -> None:
        self.limiting: Limiting = frozenset()
        """The stages with a price in the LP solved last, by host and layers."""
        self._problem, self._layers = problem, problem.num_layers
        self._links, self._highs = LinkArrays(problem.spec), flow_highs()
        self._known: dict[Placement, tuple[int, Limiting]] = {}
        """What is known of large placements: their LPs take so long that there are few."""

    def flow(self, placement: Placement) -> int:
        """Return the flow in 1e-6 tokens/s, up to the LP's tolerance."""
        if len(placement) < FLOW_PARAMS.large_stages:
            return self._solve(placement)
        if placement not in self._known:
            self._known[placement] = self._solve(placement), self.limiting
        value, self.limiting = self._known[placement]
        return value

    def _solve(self, placement: Placement) -> int:
        self.limiting = frozenset()
        if not placement:
            return 0
        stages = _together(self._links.position, placement)
        arcs = arcs_between(stages, self._layers, self._links)
        if not arcs.tail.size:
            return 0
        found = ArcColumns(stages, arcs, self._links, self._highs).solve()
        if found is None:
            # Capacities many powers of ten apart can defeat the simplex method.
            return evaluate(self._problem, placement).value
        self.limiting = frozenset(
            (self._links.ends[stages.host[i]], (int(stages.first[i]), int(stages.end[i])))
            for i in np.flatnonzero(found.stage_prices > NO_PRICE)
        )
        return int(max(0.0, found.value) * MICRO)


def _together(position: dict[str, int], placement: Placement) -> StageArrays:
    """Count stages of one host with the same layers as one of their summed rates."""
    rates: dict[tuple[int, int, int], int] = {}
    for stage in placement:
        alike = (*stage.layers, position[stage.host])
        rates[alike] = rates.get(alike, 0) + stage.rate
    first, end, host = np.array(sorted(rates), dtype=np.int64).reshape(-1, 3).T
    rate = np.array([rates[alike] for alike in sorted(rates)], dtype=np.float64) / MICRO
    return StageArrays(host, first, end, rate)
