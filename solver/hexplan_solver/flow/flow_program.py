"""The flow LP of a placement as arrays, for a search that values thousands of placements.

`priced_flow` solves the same LP arc by arc, and explains its answer. Here stages of one host with
the same layers count as one: they have the same links, and what limits their links is shared by the
whole host.
"""

from __future__ import annotations

from dataclasses import dataclass

import highspy
import numpy as np
from numpy.typing import NDArray

from hexplan.cluster import COORDINATOR
from hexplan.constants import MICRO
from hexplan.cost import link_rate, token_bytes
from hexplan.field_types import Range
from hexplan_solver.flow.evaluate import evaluate
from hexplan_solver.flow.network import SharedCapacities
from hexplan_solver.placement.placement import Placement
from hexplan_solver.problem.problem import Problem
from hexplan_solver.quiet import quiet_highs

MOST_SHARED = 4
"""Shared capacities on the way between two hosts: two NICs, a trunk and the link itself."""
SHARED_SCALE = 1e3
"""A shared capacity counts as this much, so that all rows of the LP are of one scale."""
PRIMAL_SIMPLEX = 4
"""HiGHS's `simplex_strategy`; measured 2 to 3 times as fast here as its dual simplex."""

NO_PRICE = 1e-7
"""Prices below HiGHS's tolerance of dual feasibility say nothing."""

Limiting = frozenset[tuple[str, Range]]
"""Stages that limit a flow, by host and layers."""
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Stages:
    """Stages, those alike on one host counted together."""

    host: Ints
    first: Ints
    end: Ints
    rate: Floats
    """In tokens/s."""


@dataclass(frozen=True, slots=True)
class _Arcs:
    """Arcs between stages; the number of stages stands for entry and exit."""

    tail: Ints
    head: Ints
    capacity: Floats
    """In tokens/s."""
    shared: Ints
    """For each arc, the shared capacities on its way, or -1."""
    load: Floats
    """For each of these, its share that one token/s takes, times `SHARED_SCALE`."""


class FlowProgram:
    """Computes the largest flow of many placements of one problem, every capacity counted."""

    def __init__(self, problem: Problem) -> None:
        self.limiting: Limiting = frozenset()
        """The stages with a price in the LP solved last, by host and layers."""
        self._problem, self._spec, self._layers = problem, problem.spec, problem.num_layers
        self._ends = [*(host.name for host in problem.spec.cluster.hosts), COORDINATOR]
        self._position = {name: i for i, name in enumerate(self._ends)}
        size = len(self._ends)
        self._capacity = np.full((size, size), np.nan)
        self._shared = np.full((size, size, MOST_SHARED), -1, dtype=np.int64)
        self._load = np.zeros((size, size, MOST_SHARED))
        self._capacities = SharedCapacities(problem.spec)
        self._highs = quiet_highs()
        self._highs.setOptionValue("presolve", "off")
        self._highs.setOptionValue("threads", 1)
        self._highs.setOptionValue("simplex_strategy", PRIMAL_SIMPLEX)

    def flow(self, placement: Placement) -> int:
        """Return the flow in 1e-6 tokens/s, up to the LP's tolerance."""
        self.limiting = frozenset()
        if not placement:
            return 0
        stages = _together(self._position, placement)
        arcs = self._arcs(stages)
        if not arcs.tail.size:
            return 0
        self._highs.clearSolver()
        self._highs.passModel(self._program(stages, arcs))
        self._highs.run()
        if self._highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            # Capacities many powers of ten apart can defeat the simplex method.
            return evaluate(self._problem, placement).value
        prices = np.abs(self._highs.getSolution().row_dual)[: stages.host.size]
        self.limiting = frozenset(
            (self._ends[stages.host[i]], (int(stages.first[i]), int(stages.end[i])))
            for i in np.flatnonzero(prices > NO_PRICE)
        )
        return int(max(0.0, -float(self._highs.getInfo().objective_function_value)) * MICRO)

    def _arcs(self, stages: _Stages) -> _Arcs:
        outside = stages.host.size
        meets = stages.first[None, :] <= stages.end[:, None]
        tail, head = np.nonzero(meets & (stages.end[:, None] < stages.end[None, :]))
        entered, left = (
            np.flatnonzero(stages.first == 0),
            np.flatnonzero(stages.end == self._layers),
        )
        tail = np.concatenate([np.full(entered.size, outside), tail, left])
        head = np.concatenate([entered, head, np.full(left.size, outside)])
        host = np.append(stages.host, len(self._ends) - 1)
        source, target = host[tail], host[head]
        self._look_up(source, target)
        capacity = self._capacity[source, target]
        joined = capacity > 0
        source, target = source[joined], target[joined]
        shared, load = self._shared[source, target], self._load[source, target]
        return _Arcs(tail[joined], head[joined], capacity[joined], shared, load)

    def _look_up(self, source: Ints, target: Ints) -> None:
        """Fill in what is between pairs of hosts that are met for the first time."""
        unknown = np.isnan(self._capacity[source, target])
        cluster, model = self._spec.cluster, self._spec.model
        for i, j in set(zip(source[unknown].tolist(), target[unknown].tolist(), strict=True)):
            ends = self._ends[i], self._ends[j]
            capacity = link_rate(cluster, model, *ends)
            self._capacity[i, j] = (capacity or 0) / MICRO
            if not capacity:
                continue
            num_bytes = token_bytes(model, *ends)
            for k, index in enumerate(self._capacities.of(*ends)):
                self._shared[i, j, k] = index
                limit = self._capacities.found[index].bytes_per_s
                self._load[i, j, k] = SHARED_SCALE * num_bytes / limit

    def _program(self, stages: _Stages, arcs: _Arcs) -> highspy.HighsLp:
        """Return the LP: a column per arc; rows of rates, of balance, then of shared capacities."""
        num_stages, num_arcs = stages.host.size, arcs.tail.size
        num_shared = len(self._capacities.found)
        rows = np.full((num_arcs, 3 + MOST_SHARED), -1, dtype=np.int64)
        values = np.zeros(rows.shape)
        goes_in, comes_out = arcs.head < num_stages, arcs.tail < num_stages
        rows[goes_in, 0], values[goes_in, 0] = arcs.head[goes_in], 1.0
        rows[goes_in, 1], values[goes_in, 1] = num_stages + arcs.head[goes_in], 1.0
        rows[comes_out, 2], values[comes_out, 2] = num_stages + arcs.tail[comes_out], -1.0
        rows[:, 3:] = np.where(arcs.shared >= 0, 2 * num_stages + arcs.shared, -1)
        values[:, 3:] = arcs.load
        used = rows >= 0
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = num_arcs, 2 * num_stages + num_shared
        lp.col_cost_ = np.where(goes_in, 0.0, -1.0)
        lp.col_lower_, lp.col_upper_ = np.zeros(num_arcs), arcs.capacity
        lower = np.full(lp.num_row_, -highspy.kHighsInf)
        lower[num_stages : 2 * num_stages] = 0.0
        upper = [stages.rate, np.zeros(num_stages), np.full(num_shared, SHARED_SCALE)]
        lp.row_lower_, lp.row_upper_ = lower, np.concatenate(upper)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        lp.a_matrix_.start_ = np.append(0, used.sum(axis=1).cumsum()).astype(np.int32)
        lp.a_matrix_.index_ = rows[used].astype(np.int32)
        lp.a_matrix_.value_ = values[used]
        return lp


def _together(position: dict[str, int], placement: Placement) -> _Stages:
    """Count stages of one host with the same layers as one of their summed rates."""
    rates: dict[tuple[int, int, int], int] = {}
    for stage in placement:
        alike = (*stage.layers, position[stage.host])
        rates[alike] = rates.get(alike, 0) + stage.rate
    first, end, host = np.array(sorted(rates), dtype=np.int64).reshape(-1, 3).T
    rate = np.array([rates[alike] for alike in sorted(rates)], dtype=np.float64) / MICRO
    return _Stages(host, first, end, rate)
