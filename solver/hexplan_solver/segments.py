"""Segments: placements in which stages that meet hold exactly the same layers.

A segment is a cover (stages whose speeds sum to at least F) over k layers. Segments whose layers
sum to L make a placement of flow F without partial use. Only the number of segments of each sort
matters, not where they lie, so the program is small whatever the number of machines. Covers of at
most two speeds are priced by column generation; the program never lists them all.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pulp
from numpy.typing import NDArray
from scipy.optimize import linprog

from hexplan_solver.coverage import Column, Coverage, add_ways
from hexplan_solver.covers import Covers, Segment, Speeds, Supply, list_covers
from hexplan_solver.milp import solve_milp
from hexplan_solver.options import SolveOptions
from hexplan_solver.problem import Problem

ROUNDS = 60
STEPS = (0.99, 0.97, 0.95, 0.92, 0.88, 0.83, 0.76, 0.68, 0.58, 0.45, 0.3, 0.15, 0.05)
"""Shares of the proved bound that are tried as targets, largest first."""
IMPROVING = 1e-7


def solve_segments(
    problem: Problem, options: SolveOptions, bound: int, time_limit_s: float
) -> Coverage:
    """Return a placement by segments, as good as the steps of the target allow."""
    speeds = Speeds.of(problem)
    until = time.monotonic() + time_limit_s
    for share in STEPS:
        left_s = until - time.monotonic()
        if left_s <= 0:
            break
        pool = _generate(problem, speeds, int(bound * share), until)
        found = _choose(problem, speeds, pool, options, left_s / 2) if pool else None
        if found is not None:
            return found
    return Coverage((), (), None, "no segments")


def _generate(problem: Problem, speeds: Speeds, target: int, until: float) -> list[Segment]:
    """Generate the segments that the relaxation wants; none where it cannot cover all layers."""
    covers = list_covers(problem, speeds, target)
    if not covers.ends.size:
        return []
    pool = _Pool(problem, speeds, covers)
    for _ in range(ROUNDS):
        if time.monotonic() > until or not pool.add(*pool.prices()):
            break
    return pool.segments() if pool.is_feasible() else []


class _Pool:
    """The restricted relaxation: maximise the layers covered, given what the hosts can form.

    Rows: one for each speed (groups used <= groups formed), one for each class (hosts), and one
    each for the first and the last layer, which at most one segment holds.
    """

    def __init__(self, problem: Problem, speeds: Speeds, covers: Covers) -> None:
        self._problem = problem
        self._supply = Supply.of(problem, speeds)
        self._num_speeds = len(speeds.kinds)
        self._covers = covers
        self._chosen: list[int] = []
        self._known: set[int] = set()
        sorts = covers.ends * (problem.num_layers + 1) + covers.num_layers
        self._sort_starts = np.flatnonzero(np.diff(sorts, prepend=-1))
        self._objective = 0.0

    def segments(self) -> list[Segment]:
        return [self._covers.segment(i) for i in self._chosen]

    def is_feasible(self) -> bool:
        return self._objective >= self._problem.num_layers - 1e-6

    def prices(self) -> tuple[NDArray[np.float64], tuple[float, float]]:
        """Solve the restricted relaxation; return the price of each speed and of each end."""
        covers, supply = self._covers, self._supply
        num_rows, num_ways = supply.matrix.shape
        matrix = np.zeros((num_rows + 2, len(self._chosen) + num_ways))
        matrix[:num_rows, len(self._chosen) :] = supply.matrix
        gain = np.zeros(matrix.shape[1])
        for column, i in enumerate(self._chosen):
            np.add.at(matrix[:, column], covers.speeds[i], covers.copies[i])
            matrix[-2, column] = covers.ends[i] & 1
            matrix[-1, column] = (covers.ends[i] & 2) // 2
            gain[column] = -float(covers.num_layers[i])
        limits = np.append(supply.limits, [1.0, 1.0])
        solution = linprog(gain, A_ub=matrix, b_ub=limits, method="highs")
        self._objective = -float(solution.fun or 0.0)
        duals = -solution.ineqlin.marginals
        return duals[: self._num_speeds], (float(duals[-2]), float(duals[-1]))

    def add(self, speeds: NDArray[np.float64], ends: tuple[float, float]) -> bool:
        """Add the best cover of each number of layers and ends; say whether any was new."""
        covers = self._covers
        cost = (speeds[covers.speeds] * covers.copies).sum(axis=1)
        cost += (covers.ends & 1) * ends[0] + (covers.ends >> 1) * ends[1]
        gain = covers.num_layers - cost
        stops = [*self._sort_starts[1:].tolist(), gain.size]
        best = [
            start + int(np.argmax(gain[start:stop]))
            for start, stop in zip(self._sort_starts.tolist(), stops, strict=True)
        ]
        new = [i for i in best if gain[i] > IMPROVING and i not in self._known]
        self._known.update(new)
        self._chosen += new
        return bool(new)


def _choose(
    problem: Problem,
    speeds: Speeds,
    pool: list[Segment],
    options: SolveOptions,
    time_limit_s: float,
) -> Coverage | None:
    """Choose whole segments whose layers sum to L: an integer program over the pool."""
    model = pulp.LpProblem("segments", pulp.LpMaximize)
    uses = [model.add_variable(f"x_{i}", 0, None, pulp.LpInteger) for i in range(len(pool))]
    ways = add_ways(model, problem)
    # Any choice will do, so prefer few stages: fewer hops, and devices left over.
    model += pulp.lpSum(
        -sum(n for _, n in segment.counts) * use for segment, use in zip(pool, uses, strict=True)
    )
    layers = pulp.lpSum(s.num_layers * use for s, use in zip(pool, uses, strict=True))
    model += layers == problem.num_layers, "layers"
    for end in (0, 1):
        at_end = [use for s, use in zip(pool, uses, strict=True) if s.ends[end]]
        model += pulp.lpSum(at_end) == 1, f"end_{end}"
    _respect_hosts(model, problem, speeds, (pool, uses), ways)
    result = solve_milp(model, options, time_limit_s)
    if result.values is None:
        return None
    counts = {name: round(value) for name, value in result.values.items()}
    chosen = [(s, counts[use.name]) for s, use in zip(pool, uses, strict=True)]
    formed = tuple(tuple(counts[z.name] for z in row) for row in ways)
    segments = [s for s, count in chosen for _ in range(count)]
    columns = _lay_out(speeds, segments, _formed_groups(problem, formed))
    return Coverage(tuple(columns), formed, None, "feasible")


def _respect_hosts(
    model: pulp.LpProblem,
    problem: Problem,
    speeds: Speeds,
    segments: tuple[list[Segment], list[pulp.LpVariable]],
    ways: list[list[pulp.LpVariable]],
) -> None:
    rows: list[list[tuple[pulp.LpVariable, float]]] = [[] for _ in speeds.kinds]
    for segment, use in zip(*segments, strict=True):
        for speed, count in segment.counts:
            rows[speed].append((use, float(count)))
    for c, host_class in enumerate(problem.classes):
        for way, z in zip(host_class.partitions, ways[c], strict=True):
            for kind, count in way:
                rows[speeds.of_kind[kind]].append((z, -float(count)))
        model += pulp.lpSum(ways[c]) <= len(host_class.hosts), f"hosts_{c}"
    for speed, row in enumerate(rows):
        model += pulp.LpAffineExpression(row) <= 0, f"groups_{speed}"


def _formed_groups(problem: Problem, formed: tuple[tuple[int, ...], ...]) -> dict[int, int]:
    groups: dict[int, int] = defaultdict(int)
    for host_class, hosts in zip(problem.classes, formed, strict=True):
        for way, num_hosts in zip(host_class.partitions, hosts, strict=True):
            for kind, count in way:
                groups[kind] += count * num_hosts
    return groups


def _lay_out(speeds: Speeds, segments: list[Segment], groups: dict[int, int]) -> Iterator[Column]:
    """Lay segments end to end; those on the same machines come to lie side by side."""
    first = 0
    for segment in sorted(
        segments, key=lambda s: (not s.ends[0], s.ends[1], s.counts, s.num_layers)
    ):
        layers = (first, first + segment.num_layers)
        for speed, count in segment.counts:
            missing = count
            for kind in speeds.kinds[speed]:
                taken = min(missing, groups[kind])
                if taken:
                    yield Column(kind, layers, taken)
                groups[kind] -= taken
                missing -= taken
        first = layers[1]
