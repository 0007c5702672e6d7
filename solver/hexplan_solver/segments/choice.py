"""The choice of whole segments: an integer program over a pool of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pulp

from hexplan.field_types import Range
from hexplan_solver.budget import Budget
from hexplan_solver.milp import solve_milp
from hexplan_solver.options import SolveOptions
from hexplan_solver.placement.rate_classes import RateClasses
from hexplan_solver.placement.stage_counts import StageCount, StageCounts
from hexplan_solver.placement.supply_rows import PartitionVariables, Terms, add_partitions
from hexplan_solver.problem.problem import Problem
from hexplan_solver.segments.params import SEGMENT_PARAMS, SegmentParams
from hexplan_solver.segments.segment import Segment

SegmentVariables = Sequence[tuple[Segment, pulp.LpVariable]]
"""x: how often each segment is used."""


@dataclass(frozen=True, slots=True)
class ImbalanceLimit:
    """How much the zones may differ from segment to segment, in targets."""

    of_segment: Sequence[float]
    """The imbalance of each segment of a pool."""
    allowed: float
    """Largest sum over the chosen segments."""


class SegmentChoice:
    """How often each segment is used, given what the hosts can form."""

    def __init__(
        self,
        problem: Problem,
        classes: RateClasses,
        pool: Sequence[Segment],
        limit: ImbalanceLimit | None = None,
        params: SegmentParams = SEGMENT_PARAMS,
    ) -> None:
        self._problem, self._classes, self._params = problem, classes, params
        self._values: dict[str, float] = {}
        self.model = pulp.LpProblem("segments", pulp.LpMaximize)
        self._uses = [
            (segment, self.model.add_variable(f"x_{i}", 0, None, pulp.LpInteger))
            for i, segment in enumerate(pool)
        ]
        self._partitions = add_partitions(self.model, problem)
        self._layers = self._sum([float(s.num_layers) for s in pool])
        self.model += self._layers <= problem.num_layers, "layers"
        for end in (0, 1):
            self.model += self._sum([float(s.ends[end]) for s in pool]) == 1, f"end_{end}"
        limit_to_hosts(self.model, problem, classes, self._uses, self._partitions)
        if limit is not None and limit.of_segment:
            self.model += self._sum(limit.of_segment) <= limit.allowed, "imbalance"

    def _sum(self, factors: Sequence[float]) -> pulp.LpAffineExpression:
        pairs = zip(self._uses, factors, strict=True)
        return pulp.LpAffineExpression([(use, factor) for (_, use), factor in pairs if factor])

    def holds_all_layers(self, options: SolveOptions, time_limit_s: float) -> bool:
        """Say whether a choice was found that holds every layer, and keep it."""
        self.model.setObjective(self._layers)
        patience = self._params.all_layers
        result = solve_milp(self.model, options, Budget(time_limit_s), patience=patience)
        self._values = result.values or {}
        held = sum(segment.num_layers for segment in self._chosen()) if self._values else 0
        return held == self._problem.num_layers

    def with_fewest_stages(self, options: SolveOptions, time_limit_s: float) -> StageCounts:
        """Hold every layer with as few stages as that takes: fewer hops, and spare devices."""
        self.model += self._layers >= self._problem.num_layers, "all_layers"
        self.model.setObjective(self._sum([-float(s.num_stages) for s, _ in self._uses]))
        start, patience = self._values, self._params.few_stages
        result = solve_milp(self.model, options, Budget(time_limit_s), start, patience)
        self._values = result.values or start
        return self.counts()

    def counts(self) -> StageCounts:
        """Lay the chosen segments end to end."""
        partitioned = tuple(
            tuple(round(self._values[z.name]) for z in row) for row in self._partitions
        )
        groups = formed_groups(self._problem, partitioned)
        stages = lay_out(self._classes, self._chosen(), groups)
        return StageCounts(tuple(stages), partitioned)

    def _chosen(self) -> list[Segment]:
        return [
            segment for segment, use in self._uses for _ in range(round(self._values[use.name]))
        ]


def limit_to_hosts(
    model: pulp.LpProblem,
    problem: Problem,
    classes: RateClasses,
    uses: SegmentVariables,
    partitions: PartitionVariables,
) -> None:
    """Use no more groups than the hosts form, and no more hosts than there are."""
    rows: list[Terms] = [[] for _ in classes.kinds]
    for segment, use in uses:
        for rate_class, count in segment.stage_counts:
            rows[rate_class].append((use, float(count)))
    for index, host_class in enumerate(problem.classes):
        for partition, z in zip(host_class.partitions, partitions[index], strict=True):
            for kind, count in partition:
                rows[classes.of_kind[kind]].append((z, -float(count)))
        model += pulp.lpSum(partitions[index]) <= len(host_class.hosts), f"hosts_{index}"
    for rate_class, row in enumerate(rows):
        model += pulp.LpAffineExpression(row) <= 0, f"groups_{rate_class}"


def formed_groups(problem: Problem, partitioned: tuple[tuple[int, ...], ...]) -> dict[int, int]:
    """Return how many groups of each kind the partitions of all hosts form."""
    groups: dict[int, int] = defaultdict(int)
    for host_class, hosts in zip(problem.classes, partitioned, strict=True):
        for partition, num_hosts in zip(host_class.partitions, hosts, strict=True):
            for kind, count in partition:
                groups[kind] += count * num_hosts
    return groups


def lay_out(
    classes: RateClasses, segments: Sequence[Segment], groups: dict[int, int]
) -> Iterator[StageCount]:
    """Lay segments end to end, those on the same machines side by side."""
    first = 0
    for segment in sorted(
        segments, key=lambda s: (not s.ends[0], s.ends[1], s.stage_counts, s.num_layers)
    ):
        for lane in segment.lanes:
            num_layers, m = segment.num_layers, lane.num_stages
            cuts = [first + num_layers * i // m for i in range(m + 1)]
            for layers in pairwise(cuts):
                yield from _form(classes.kinds[lane.rate_class], layers, lane.count, groups)
        first += segment.num_layers


def _form(
    kinds: Sequence[int], layers: Range, missing: int, groups: dict[int, int]
) -> Iterator[StageCount]:
    """Take groups of kinds with equal rates, as long as there are any."""
    for kind in kinds:
        taken = min(missing, groups[kind])
        if taken:
            yield StageCount(kind, layers, taken)
        groups[kind] -= taken
        missing -= taken
