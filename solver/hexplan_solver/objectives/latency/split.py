"""Split a rate over the routes of a placement so that the mean time of a request is least."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array

from hexplan.cluster import COORDINATOR
from hexplan.constants import MICRO
from hexplan_solver.flow.network import OUTSIDE, Arc, Network
from hexplan_solver.flow.routes import Path, paths_of
from hexplan_solver.objectives.latency.crossing import Crossing, crossing_of
from hexplan_solver.objectives.latency.params import LATENCY_PARAMS
from hexplan_solver.objectives.latency.queueing import Station
from hexplan_solver.problem.problem import Problem


@dataclass(frozen=True, slots=True)
class Times:
    """Mean times of a request, in seconds."""

    ttft_s: float
    """From its arrival to its first token."""
    tpot_s: float
    """From one output token to the next."""
    total_s: float
    """From its arrival to its last token."""


def split_rate(
    problem: Problem, network: Network, stations: Sequence[Station], flow: int
) -> tuple[Path, ...]:
    """Return the paths of a flow in 1e-6 tokens/s that takes least time; none if it is too large.

    This is a min-cost flow. The time on a link is linear in the link's flow; the time in a stage is
    convex in the stage's, and is replaced by linear pieces, so that an LP finds the flow.
    """
    lp = _Program(problem, network, stations, flow / MICRO)
    arc_flows = lp.solve()
    if arc_flows is None:
        return ()
    # The LP was asked for a little more than the flow, so that rounding down leaves enough.
    return paths_of(network, [int(x * MICRO) for x in arc_flows])


def times_of(
    problem: Problem, network: Network, stations: Sequence[Station], paths: Sequence[Path]
) -> Times:
    """Return the mean times of requests that take these paths."""
    tokens, whole = problem.spec.workload.mean_tokens, sum(path.amount for path in paths)
    load = [0.0] * len(network.stages)
    for path in paths:
        for stage in path.stages:
            load[stage] += path.amount / MICRO / tokens
    ttft = tpot = 0.0
    for path in paths:
        share = path.amount / whole
        arcs = [arc for ends in path.arcs if (arc := network.arc(*ends)) is not None]
        crossings = [_crossing(network, arc) for arc in arcs]
        prompt_s = sum(crossing.prompt_s for crossing in crossings)
        token_s = sum(crossing.token_s for crossing in crossings)
        # Each token goes around: out to the coordinator, and in again as the next input.
        round_s = token_s + sum(stations[stage].alone_s for stage in path.stages)
        hops = [(stations[stage], load[stage]) for stage in path.stages]
        ttft += share * (prompt_s + sum(s.prompt_hop_s(rate) for s, rate in hops))
        tpot += share * (token_s + sum(s.decode_hop_s(rate, round_s) for s, rate in hops))
    output = problem.spec.workload.output_tokens.mean
    return Times(ttft, tpot, ttft + (output - 1) * tpot)


def _crossing(network: Network, arc: Arc) -> Crossing:
    ends = (
        COORDINATOR if end == OUTSIDE else network.stages[end].host
        for end in (arc.source, arc.target)
    )
    crossing = crossing_of(network.spec, *ends)
    assert crossing is not None, "an arc has a link"
    return crossing


@dataclass(frozen=True, slots=True)
class _Piece:
    """A piece of a stage's time, on which it is linear in the flow."""

    stage: int
    slope_s: float
    """Seconds that one more token/s adds."""
    width: float
    """Largest flow of the piece, in tokens/s."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry of a sparse matrix."""

    row: int
    column: int
    value: float


class _Program:
    """The LP: flows of the arcs, then flows of the pieces of each stage, in tokens/s."""

    def __init__(
        self, problem: Problem, network: Network, stations: Sequence[Station], flow: float
    ) -> None:
        self._problem, self._network, self._flow = problem, network, flow
        self._tokens = problem.spec.workload.mean_tokens
        self._output = problem.spec.workload.output_tokens.mean
        self._pieces = [
            piece for stage, station in enumerate(stations) for piece in self._cut(stage, station)
        ]

    def solve(self) -> list[float] | None:
        """Return the flow of each arc, or None where the flow does not fit."""
        arcs, network = self._network.arcs, self._network
        num_arcs, num_stages, free = len(arcs), len(network.stages), 1 - LATENCY_PARAMS.slack
        costs = [_crossing(network, arc).request_s(self._output) for arc in arcs]
        costs += [piece.slope_s for piece in self._pieces]
        limits = [arc.capacity / MICRO * free for arc in arcs]
        limits += [piece.width for piece in self._pieces]
        rows: list[_Entry] = []
        for column, arc in enumerate(arcs):
            if arc.target != OUTSIDE:
                rows.append(_Entry(arc.target, column, 1.0))
                rows.append(_Entry(num_stages + arc.target, column, 1.0))
            row, sign = (2 * num_stages, 1.0) if arc.source == OUTSIDE else (arc.source, -1.0)
            rows.append(_Entry(row, column, sign))
        for column, piece in enumerate(self._pieces, start=num_arcs):
            rows.append(_Entry(num_stages + piece.stage, column, -1.0))
        shared = network.shared
        use = [
            _Entry(index, column, arc.token_bytes * MICRO / shared[index].bytes_per_s)
            for column, arc in enumerate(arcs)
            for index in arc.shared
        ]
        asked = self._flow * (1 + 1e-9) + (num_arcs + 1) / MICRO
        found = linprog(  # type: ignore[call-overload]  # scipy takes sparse matrices, its stubs do not
            costs,
            A_eq=_matrix(rows, 2 * num_stages + 1, len(costs)),
            b_eq=[0.0] * (2 * num_stages) + [asked],
            A_ub=_matrix(use, len(shared), len(costs)) if shared else None,
            b_ub=[MICRO * free] * len(shared) if shared else None,
            bounds=[(0.0, limit) for limit in limits],
            method="highs",
        )
        return found.x[:num_arcs].tolist() if found.status == 0 else None

    def _cut(self, position: int, station: Station) -> list[_Piece]:
        """Cut a stage's total time into pieces of rising slope."""
        params, stage = LATENCY_PARAMS, self._network.stages[position]
        capacity = stage.rate / MICRO
        # Before the split, the rest of a round is unknown: it is taken to be as fast as this stage.
        held = stage.layers[1] - stage.layers[0]
        round_s = station.alone_s * self._problem.num_layers / held
        full = params.fullest / max(station.utilisation(1 / self._tokens), 1e-30)
        ends = np.linspace(0.0, min(capacity * (1 - params.slack), full), params.pieces + 1)
        totals = [
            end * self._time(station.prompt_hop_s(rate), station.decode_hop_s(rate, round_s))
            for end in ends.tolist()
            for rate in [end / self._tokens]
        ]
        width = float(ends[1])
        slopes = np.maximum.accumulate(np.diff(totals) / width)
        return [_Piece(position, float(slope), width) for slope in slopes]

    def _time(self, first_s: float, token_s: float) -> float:
        return first_s + (self._output - 1) * token_s


def _matrix(entries: Sequence[_Entry], num_rows: int, num_columns: int) -> coo_array:
    places = ([entry.row for entry in entries], [entry.column for entry in entries])
    return coo_array(([entry.value for entry in entries], places), shape=(num_rows, num_columns))
