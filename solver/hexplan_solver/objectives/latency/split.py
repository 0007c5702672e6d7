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
from hexplan_solver.objectives.latency.queueing import Station
from hexplan_solver.problem.problem import Problem

PIECES = 32
"""Pieces into which the convex time of a stage is cut."""
FULLEST = 0.999
"""No stage is filled beyond this utilisation."""
SLACK = 1e-5
"""Capacities are kept free by this share, more than the LP's tolerance."""


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

    A min-cost flow: the time over all links and stages is linear in the links' flows and convex in
    the stages', and is cut into pieces, so that it is an LP.
    """
    lp = _Program(problem, network, stations, flow / MICRO)
    arc_flows = lp.solve()
    if arc_flows is None:
        return ()
    # A little more than the flow was asked for, so that rounding down leaves enough.
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
        for step in path.steps:
            arc = network.arc(*step)
            if arc is None:
                continue
            prompt_s, token_s = _arc_s(problem, network, arc)
            ttft += share * prompt_s
            # Each token goes around: out to the coordinator, and in again as the next input.
            tpot += share * token_s
        for stage in path.stages:
            ttft += share * stations[stage].prompt_hop_s(load[stage])
            tpot += share * stations[stage].decode_hop_s(load[stage])
    output = problem.spec.workload.output_tokens.mean
    return Times(ttft, tpot, ttft + (output - 1) * tpot)


def _arc_s(problem: Problem, network: Network, arc: Arc) -> tuple[float, float]:
    """Return the seconds that a prompt and that one token take over an arc."""
    cluster = problem.spec.cluster
    source, target = (
        COORDINATOR if end == OUTSIDE else network.stages[end].host
        for end in (arc.source, arc.target)
    )
    if source == target:
        inner = cluster.host_by_name[source].interconnect
        latency, bandwidth = (inner.latency_s, inner.bandwidth_bytes_per_s) if inner else (0, 1)
    else:
        link = cluster.link(source, target)
        latency, bandwidth = (link.latency_s, link.bandwidth_bytes_per_s) if link else (0, 1)
    one_s = arc.token_bytes / bandwidth
    # Only one token leaves for each prompt.
    prompt = 1 if arc.target == OUTSIDE else problem.spec.workload.prompt_tokens.mean
    is_hop = COORDINATOR not in (source, target)
    passed_s = float(latency) + (float(cluster.limits.hop_overhead_s) if is_hop else 0.0)
    return passed_s + prompt * one_s, passed_s + one_s


class _Program:
    """The LP: flows of the arcs, then flows of the pieces of each stage, in tokens/s."""

    def __init__(
        self, problem: Problem, network: Network, stations: Sequence[Station], flow: float
    ) -> None:
        self._problem, self._network, self._flow = problem, network, flow
        self._tokens = problem.spec.workload.mean_tokens
        self._output = problem.spec.workload.output_tokens.mean
        self._pieces = [
            piece
            for position, station in enumerate(stations)
            for piece in self._cut(position, station)
        ]

    def solve(self) -> list[float] | None:
        """Return the flow of each arc, or None where the flow does not fit."""
        arcs, network = self._network.arcs, self._network
        num_arcs, num_stages = len(arcs), len(network.stages)
        costs = [self._time(*_arc_s(self._problem, network, arc)) for arc in arcs]
        costs += [slope for _, slope, _ in self._pieces]
        limits = [arc.capacity / MICRO * (1 - SLACK) for arc in arcs]
        limits += [width for _, _, width in self._pieces]
        rows: list[tuple[int, int, float]] = []
        for column, arc in enumerate(arcs):
            if arc.target != OUTSIDE:
                rows += [(arc.target, column, 1.0), (num_stages + arc.target, column, 1.0)]
            if arc.source != OUTSIDE:
                rows.append((arc.source, column, -1.0))
            else:
                rows.append((2 * num_stages, column, 1.0))
        for column, (position, _, _) in enumerate(self._pieces, start=num_arcs):
            rows.append((num_stages + position, column, -1.0))
        shared = network.shared
        use = [
            (index, column, arc.token_bytes * MICRO / shared[index].bytes_per_s)
            for column, arc in enumerate(arcs)
            for index in arc.shared
        ]
        shape = (2 * num_stages + 1, len(costs))
        asked = self._flow * (1 + 1e-9) + (num_arcs + 1) / MICRO
        found = linprog(  # type: ignore[call-overload]  # scipy takes sparse matrices, its stubs do not
            costs,
            A_eq=_matrix(rows, shape),
            b_eq=[0.0] * (2 * num_stages) + [asked],
            A_ub=_matrix(use, (len(shared), len(costs))) if shared else None,
            b_ub=[MICRO * (1 - SLACK)] * len(shared) if shared else None,
            bounds=[(0.0, limit) for limit in limits],
            method="highs",
        )
        return found.x[:num_arcs].tolist() if found.status == 0 else None

    def _cut(self, position: int, station: Station) -> list[tuple[int, float, float]]:
        """Cut a stage's total time into (position, slope, width) pieces of rising slope."""
        capacity = self._network.stages[position].rate / MICRO
        full = FULLEST / max(station.utilisation(1 / self._tokens), 1e-30)
        ends = np.linspace(0.0, min(capacity * (1 - SLACK), full), PIECES + 1)
        totals = [
            end * self._time(station.prompt_hop_s(rate), station.decode_hop_s(rate))
            for end in ends.tolist()
            for rate in [end / self._tokens]
        ]
        width = float(ends[1])
        slopes = np.maximum.accumulate(np.diff(totals) / width)
        return [(position, float(slope), width) for slope in slopes]

    def _time(self, first_s: float, token_s: float) -> float:
        return first_s + (self._output - 1) * token_s


def _matrix(entries: list[tuple[int, int, float]], shape: tuple[int, int]) -> coo_array:
    rows, columns, values = zip(*entries, strict=True)
    return coo_array((values, (rows, columns)), shape=shape)
