"""The choice of whole segments: an integer program over a pool of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pulp

from hexplan.field_types import Range
from hexplan_solver.milp import Patience, solve_milp
from hexplan_solver.options import SolveOptions
from hexplan_solver.placement.coverage import Column, Coverage, add_ways
from hexplan_solver.placement.covers import Segment, Speeds
from hexplan_solver.problem.problem import Problem

ALL_LAYERS = Patience(3000, 3000, 0.0)
FEW_STAGES = Patience(100, 5, 0.02)
"""Patience for holding all layers, and then for doing so with fewer stages."""


def choose_segments(
    problem: Problem,
    speeds: Speeds,
    pool: Sequence[Segment],
    options: SolveOptions,
    time_limit_s: float,
    outside: tuple[Sequence[float], float] = ((), 0.0),
) -> SegmentChoice | None:
    """Choose whole segments that hold all layers; nothing where none were found.

    Parameters
    ----------
    outside
        What of each segment lies outside a border, and how much may in all.
    """
    choice = SegmentChoice(problem, speeds, pool)
    if outside[0]:
        choice.respect_border(*outside)
    return choice if choice.holds_all_layers(options, time_limit_s) else None


class SegmentChoice:
    """How often each segment is used, under the supply of the hosts."""

    def __init__(self, problem: Problem, speeds: Speeds, pool: Sequence[Segment]) -> None:
        self._problem, self._speeds, self._pool = problem, speeds, pool
        self._values: dict[str, float] = {}
        self._model = pulp.LpProblem("segments", pulp.LpMaximize)
        self._uses = [
            self._model.add_variable(f"x_{i}", 0, None, pulp.LpInteger) for i in range(len(pool))
        ]
        self._ways = add_ways(self._model, problem)
        self._layers = self._sum([float(s.num_layers) for s in pool])
        self._model += self._layers <= problem.num_layers, "layers"
        for end in (0, 1):
            self._model += self._sum([float(s.ends[end]) for s in pool]) == 1, f"end_{end}"
        respect_hosts(self._model, problem, speeds, (pool, self._uses), self._ways)

    def respect_border(self, outside: Sequence[float], budget: float) -> None:
        """Let no more lie outside a border than a budget."""
        self._model += self._sum(outside) <= budget, "border"

    def _sum(self, factors: Sequence[float]) -> pulp.LpAffineExpression:
        pairs = zip(self._uses, factors, strict=True)
        return pulp.LpAffineExpression([(use, factor) for use, factor in pairs if factor])

    def holds_all_layers(self, options: SolveOptions, time_limit_s: float) -> bool:
        """Say whether a choice was found that holds every layer, and keep it."""
        self._model.setObjective(self._layers)
        result = solve_milp(self._model, options, time_limit_s, patience=ALL_LAYERS)
        self._values = result.values or {}
        held = sum(segment.num_layers for segment in self._chosen()) if self._values else 0
        return held == self._problem.num_layers

    def with_fewest_stages(self, options: SolveOptions, time_limit_s: float) -> Coverage:
        """Hold every layer with as few stages as that takes: fewer hops, and devices left."""
        self._model += self._layers >= self._problem.num_layers, "all"
        self._model.setObjective(
            self._sum([-float(sum(n for _, n in s.counts)) for s in self._pool])
        )
        start, patience = self._values, FEW_STAGES
        result = solve_milp(self._model, options, time_limit_s, start, patience=patience)
        self._values = result.values or start
        return self.coverage()

    def coverage(self) -> Coverage:
        """Lay the chosen segments end to end."""
        formed = tuple(tuple(round(self._values[z.name]) for z in row) for row in self._ways)
        groups = formed_groups(self._problem, formed)
        columns = lay_out(self._speeds, self._chosen(), groups)
        return Coverage(tuple(columns), formed, None, "feasible")

    def _chosen(self) -> list[Segment]:
        return [
            segment
            for segment, use in zip(self._pool, self._uses, strict=True)
            for _ in range(round(self._values[use.name]))
        ]


def respect_hosts(
    model: pulp.LpProblem,
    problem: Problem,
    speeds: Speeds,
    segments: tuple[Sequence[Segment], Sequence[pulp.LpVariable]],
    ways: Sequence[Sequence[pulp.LpVariable]],
) -> None:
    """Use no more groups than the hosts form, and no more hosts than there are."""
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


def formed_groups(problem: Problem, formed: tuple[tuple[int, ...], ...]) -> dict[int, int]:
    """Return how many groups of each kind the partitions of all hosts form."""
    groups: dict[int, int] = defaultdict(int)
    for host_class, hosts in zip(problem.classes, formed, strict=True):
        for way, num_hosts in zip(host_class.partitions, hosts, strict=True):
            for kind, count in way:
                groups[kind] += count * num_hosts
    return groups


def lay_out(
    speeds: Speeds, segments: Sequence[Segment], groups: dict[int, int]
) -> Iterator[Column]:
    """Lay segments end to end; those on the same machines come to lie side by side."""
    first = 0
    for segment in sorted(
        segments, key=lambda s: (not s.ends[0], s.ends[1], s.counts, s.num_layers)
    ):
        for lane in segment.lanes:
            num_layers, m = segment.num_layers, lane.num_stages
            cuts = [first + num_layers * i // m for i in range(m + 1)]
            for layers in pairwise(cuts):
                yield from _form(speeds.kinds[lane.speed], layers, lane.count, groups)
        first += segment.num_layers


def _form(
    kinds: Sequence[int], layers: Range, missing: int, groups: dict[int, int]
) -> Iterator[Column]:
    """Take groups of kinds that are equally fast, as far as there are any."""
    for kind in kinds:
        taken = min(missing, groups[kind])
        if taken:
            yield Column(kind, layers, taken)
        groups[kind] -= taken
        missing -= taken
