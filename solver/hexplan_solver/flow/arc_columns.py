"""The flow LP over arcs, solved by column generation where there are many arcs.

A placement of a thousand stages has a hundred thousand arcs, few of which carry flow. So the LP
begins with a few arcs of each stage. Its prices then say which of the others would raise the flow;
these are added, until there are none. The answer is that of the LP with all arcs.
"""

from __future__ import annotations

from dataclasses import dataclass

import highspy
import numpy as np
from numpy.typing import NDArray

from hexplan_solver.flow.arcs import ArcArrays, StageArrays
from hexplan_solver.flow.link_arrays import MOST_SHARED, Floats, Ints, LinkArrays
from hexplan_solver.flow.params import FLOW_PARAMS, FlowParams
from hexplan_solver.quiet import quiet_highs

SHARED_SCALE = 1e3
"""A shared capacity counts as this much, so that all rows of the LP are of one scale."""
PRIMAL_SIMPLEX = 4
"""HiGHS's `simplex_strategy`; measured 2 to 3 times as fast here as its dual simplex."""
NO_GAIN = 1e-7
"""An arc that raises the flow by less than this per token/s is not added: HiGHS's tolerance."""


@dataclass(frozen=True, slots=True)
class ArcFlows:
    """A largest flow, and its prices: what one more unit of a capacity would bring."""

    value: float
    """In tokens/s."""
    arcs: Ints
    """Positions of the arcs in the LP; all others carry nothing."""
    flows: Floats
    """Of each of these, in tokens/s."""
    arc_prices: Floats
    """Of the capacity of each of these."""
    stage_prices: Floats
    shared: Ints
    """The shared capacities in the LP."""
    shared_prices: Floats
    """Of each of these, for all of the capacity."""


def flow_highs() -> highspy.Highs:
    """Return a HiGHS object for the LPs of many placements: making one takes longer than some."""
    highs = quiet_highs()
    highs.setOptionValue("presolve", "off")
    highs.setOptionValue("threads", 1)
    highs.setOptionValue("simplex_strategy", PRIMAL_SIMPLEX)
    return highs


class ArcColumns:
    """The LP of one placement: a column per arc; rows of rates, of balance, then what is shared."""

    def __init__(
        self,
        stages: StageArrays,
        arcs: ArcArrays,
        links: LinkArrays,
        highs: highspy.Highs,
        params: FlowParams = FLOW_PARAMS,
    ) -> None:
        self._stages, self._arcs, self._highs, self._params = stages, arcs, highs, params
        found, rows = np.unique(arcs.shared, return_inverse=True)
        rows = rows.reshape(arcs.shared.shape)
        is_none = found < 0
        limits = np.full(found.size, np.inf)
        limits[~is_none] = links.limits_of(found[~is_none])
        # Most pairs of hosts could carry more than their stages pass, and need no row.
        kept = _most_loads(stages, arcs, rows, found.size) > limits
        self._shared = found[kept]
        number = np.where(kept, kept.cumsum() - 1, -1)
        self._row = number[rows]
        self._load = SHARED_SCALE * arcs.token_bytes[:, None] / limits[rows]
        self._load[self._row < 0] = 0.0

    def solve(self) -> ArcFlows | None:
        """Return a largest flow, or None if the simplex method fails."""
        chosen = self._first_arcs()
        is_in = np.zeros(self._arcs.tail.size, dtype=bool)
        is_in[chosen] = True
        self._highs.clearSolver()
        self._highs.passModel(self._program(chosen))
        while True:
            self._highs.run()
            if self._highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
                return None
            solution = self._highs.getSolution()
            prices = -np.array(solution.row_dual)
            added = self._gaining(prices, is_in)
            if not added.size:
                break
            self._add(added)
            is_in[added] = True
            chosen = np.concatenate([chosen, added])
        value = -float(self._highs.getInfo().objective_function_value)
        return self._read(value, chosen, solution)

    def _read(self, value: float, chosen: Ints, solution: highspy.HighsSolution) -> ArcFlows:
        prices, num_stages = np.abs(np.array(solution.row_dual)), self._stages.size
        flows = np.array(solution.col_value)
        # The reduced cost of an arc that its own capacity limits is what more of that would bring.
        is_full = flows >= self._arcs.capacity[chosen]
        arc_prices = np.where(is_full, np.maximum(-np.array(solution.col_dual), 0.0), 0.0)
        return ArcFlows(
            value,
            chosen,
            flows,
            arc_prices,
            prices[:num_stages],
            self._shared,
            prices[2 * num_stages :] * SHARED_SCALE,
        )

    def _first_arcs(self) -> Ints:
        """Return all arcs, or where there are many, a few into and out of each stage."""
        arcs, params, outside = self._arcs, self._params, self._stages.size
        if arcs.tail.size <= params.dense_arcs:
            return np.arange(arcs.tail.size)
        host = np.append(self._stages.host, -1)
        is_short = (arcs.tail == outside) | (arcs.head == outside)
        is_short |= host[arcs.tail] == host[arcs.head]
        drawn = np.random.default_rng(0).random(arcs.tail.size)
        for ends in (arcs.tail, arcs.head):
            is_short[_least_few(ends, drawn, params.first_arcs)] = True
        return np.flatnonzero(is_short)

    def _gaining(self, prices: Floats, is_in: NDArray[np.bool_]) -> Ints:
        """Return arcs that would raise the flow, those of largest gain at each stage."""
        if is_in.all():
            return np.zeros(0, dtype=np.int64)
        arcs, num_stages = self._arcs, self._stages.size
        outside = [0.0]
        into = np.append(prices[:num_stages] + prices[num_stages : 2 * num_stages], outside)
        out = np.append(-prices[num_stages : 2 * num_stages], outside)
        shared = np.append(prices[2 * num_stages :], outside)
        pays = into[arcs.head] + out[arcs.tail] + (shared[self._row] * self._load).sum(axis=1)
        gain = np.where(arcs.head < num_stages, 0.0, 1.0) - pays
        found = np.flatnonzero((gain > NO_GAIN) & ~is_in)
        kept = [
            found[_least_few(ends[found], -gain[found], self._params.added_arcs)]
            for ends in (arcs.tail, arcs.head)
        ]
        return np.unique(np.concatenate(kept))

    def _add(self, added: Ints) -> None:
        program = self._program(added)
        matrix = program.a_matrix_
        index = np.array(matrix.index_, dtype=np.int32)
        self._highs.addCols(
            added.size,
            program.col_cost_,
            program.col_lower_,
            program.col_upper_,
            index.size,
            np.array(matrix.start_, dtype=np.int32)[:-1],
            index,
            matrix.value_,
        )

    def _program(self, chosen: Ints) -> highspy.HighsLp:
        """Return the LP with some of the arcs."""
        stages, arcs = self._stages, self._arcs.some(chosen)
        num_stages, num_arcs = stages.size, chosen.size
        rows = np.full((num_arcs, 3 + MOST_SHARED), -1, dtype=np.int64)
        values = np.zeros(rows.shape)
        goes_in, comes_out = arcs.head < num_stages, arcs.tail < num_stages
        rows[goes_in, 0], values[goes_in, 0] = arcs.head[goes_in], 1.0
        rows[goes_in, 1], values[goes_in, 1] = num_stages + arcs.head[goes_in], 1.0
        rows[comes_out, 2], values[comes_out, 2] = num_stages + arcs.tail[comes_out], -1.0
        shared = self._row[chosen]
        rows[:, 3:] = np.where(shared >= 0, 2 * num_stages + shared, -1)
        values[:, 3:] = self._load[chosen]
        used = rows >= 0
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = num_arcs, 2 * num_stages + self._shared.size
        lp.col_cost_ = np.where(goes_in, 0.0, -1.0)
        lp.col_lower_, lp.col_upper_ = np.zeros(num_arcs), arcs.capacity
        lower = np.full(lp.num_row_, -highspy.kHighsInf)
        lower[num_stages : 2 * num_stages] = 0.0
        limits = [stages.rate, np.zeros(num_stages), np.full(self._shared.size, SHARED_SCALE)]
        lp.row_lower_, lp.row_upper_ = lower, np.concatenate(limits)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        lp.a_matrix_.start_ = np.append(0, used.sum(axis=1).cumsum()).astype(np.int32)
        lp.a_matrix_.index_ = rows[used].astype(np.int32)
        lp.a_matrix_.value_ = values[used]
        return lp


def _most_loads(stages: StageArrays, arcs: ArcArrays, rows: Ints, num_rows: int) -> Floats:
    """Return the bytes/s that each shared capacity has to carry if every arc carries its most."""
    rate = np.append(stages.rate, np.inf)
    most = np.minimum(np.minimum(rate[arcs.tail], rate[arcs.head]), arcs.capacity)
    amounts = np.repeat(most * arcs.token_bytes, MOST_SHARED)
    loads: Floats = np.bincount(rows.ravel(), amounts, minlength=num_rows).astype(np.float64)
    return loads


def _least_few(ends: Ints, key: Floats, most: int) -> Ints:
    """Return the positions of the least keys among those of each end, at most so many of each."""
    order = np.lexsort((key, ends))
    ranked = ends[order]
    is_first = np.append(True, ranked[1:] != ranked[:-1])[: ranked.size]
    place = np.arange(ranked.size)
    since = place - np.maximum.accumulate(np.where(is_first, place, 0))
    return order[since < most]
