"""One site of a row: the most layers that it can serve for all of a flow (see `site_chain`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pulp

from hexplan_solver.budget import Budget
from hexplan_solver.links.params import LinkParams
from hexplan_solver.milp import solve_milp
from hexplan_solver.options import SolveOptions
from hexplan_solver.placement.naming import place
from hexplan_solver.placement.placement import Placement
from hexplan_solver.placement.rate_classes import RateClasses
from hexplan_solver.placement.stage_counts import StageCount, StageCounts
from hexplan_solver.placement.supply_rows import add_partitions
from hexplan_solver.problem.problem import Problem
from hexplan_solver.segments.choice import (
    SegmentVariables,
    formed_groups,
    lay_out,
    limit_to_hosts,
)
from hexplan_solver.segments.params import SEGMENT_PARAMS
from hexplan_solver.segments.pool import SegmentPool
from hexplan_solver.segments.pricing import LaneTable
from hexplan_solver.segments.segment import Segment


@dataclass(frozen=True, slots=True)
class SiteLanes:
    """A site by itself, and how fast its devices are: the same for every flow."""

    problem: Problem
    table: LaneTable

    @classmethod
    def of(cls, site: Problem) -> SiteLanes:
        """List what single stages of a site pass."""
        return cls(site, LaneTable.of(site, RateClasses.of(site), 1))


@dataclass(frozen=True, slots=True)
class SitePart:
    """What is asked of a site by its place in the row."""

    is_first: bool
    is_last: bool
    entry_link: int | None = None
    """If the flow enters through a door of this site: the most that each of its stages may pass,
    in 1e-6 tokens/s."""
    exit_link: int | None = None
    """The same for a door through which the flow leaves."""


@dataclass(frozen=True, slots=True)
class SiteSegments:
    """The segments of a site in their order: a door, those between, a door."""

    entry: tuple[Segment, ...]
    inner: tuple[Segment, ...]
    exit: tuple[Segment, ...]
    partitioned: tuple[tuple[int, ...], ...]
    """For each class, how many hosts use each of its partitions."""

    @property
    def num_layers(self) -> int:
        """Layers that they hold."""
        return sum(s.num_layers for s in (*self.entry, *self.inner, *self.exit))

    def with_fewer_layers(self, surplus: int) -> SiteSegments:
        """Take some layers out, one by one, each from the segment that holds most."""
        sizes = [s.num_layers for s in (*self.entry, *self.inner, *self.exit)]
        for _ in range(surplus):
            largest = max(range(len(sizes)), key=lambda i: sizes[i])
            sizes[largest] -= 1
        left = iter(sizes)
        entry, inner, last = (
            tuple(replace(s, num_layers=next(left)) for s in part)
            for part in (self.entry, self.inner, self.exit)
        )
        return SiteSegments(entry, inner, last, self.partitioned)


@dataclass(frozen=True, slots=True)
class _Uses:
    """How often each segment is used, by what it is to the site."""

    inner: SegmentVariables
    entry: SegmentVariables
    exit: SegmentVariables
    both: SegmentVariables
    """Those that are the only one of the site, and its door at either end."""

    @property
    def every(self) -> SegmentVariables:
        """All of them."""
        return (*self.inner, *self.entry, *self.exit, *self.both)

    def alone(self) -> Iterator[pulp.LpVariable]:
        """Yield those that leave no place for another segment."""
        yield from (use for _, use in self.both)
        yield from (use for segment, use in self.entry if segment.ends[1])
        yield from (use for segment, use in self.exit if segment.ends[0])


class SitePlanner:
    """Finds the most layers of one site at one flow."""

    def __init__(
        self, lanes: SiteLanes, target: int, options: SolveOptions, params: LinkParams
    ) -> None:
        self._problem, self._table, self._target = lanes.problem, lanes.table, target
        self._options, self._params = options, params
        self._pool = SegmentPool(self._problem, self._table, target)
        self._doors: dict[int, list[Segment]] = {}
        self._known: dict[SitePart, SiteSegments | None] = {}

    def generate(self, until: float) -> float:
        """Generate the segments, and return about how many layers they can hold at most."""
        self._pool.generate(SEGMENT_PARAMS.step_grids, until)
        return self._pool.layers

    def most_layers(self, part: SitePart, until: float) -> SiteSegments | None:
        """Return segments that hold the most layers, if there are any for this part."""
        if part not in self._known:
            self._known[part] = self._solved(part, until)
        return self._known[part]

    def _solved(self, part: SitePart, until: float) -> SiteSegments | None:
        model = pulp.LpProblem("site", pulp.LpMaximize)
        uses = self._uses(model, part, until)
        if not uses.every:
            return None
        partitions = add_partitions(model, self._problem)
        model += pulp.lpSum(segment.num_layers * use for segment, use in uses.every)
        for end, is_asked in enumerate((part.is_first, part.is_last)):
            if is_asked:
                holders = [use for segment, use in uses.every if segment.ends[end]]
                model += pulp.lpSum(holders) == 1, f"end_{end}"
        if part.entry_link is not None:
            model += pulp.lpSum(use for _, use in (*uses.entry, *uses.both)) == 1, "entry"
        if part.exit_link is not None:
            model += pulp.lpSum(use for _, use in (*uses.exit, *uses.both)) == 1, "exit"
        alone = pulp.lpSum(uses.alone())
        most = sum(len(host_class.hosts) for host_class in self._problem.classes)
        most *= self._problem.num_layers
        model += pulp.lpSum(use for _, use in uses.every) <= 1 + most * (1 - alone), "alone"
        limit_to_hosts(model, self._problem, self._table.classes, uses.every, partitions)
        budget, patience = Budget(self._params.pair_milp_s), self._params.pair_patience
        values = solve_milp(model, self._options, budget, patience=patience).values
        if values is None:
            return None
        entry, between, last = (
            tuple(s for s, use in chosen for _ in range(round(values[use.name])))
            for chosen in ((*uses.entry, *uses.both), uses.inner, uses.exit)
        )
        partitioned = tuple(tuple(round(values[z.name]) for z in row) for row in partitions)
        return SiteSegments(entry, between, last, partitioned)

    def _uses(self, model: pulp.LpProblem, part: SitePart, until: float) -> _Uses:
        """Add how often each segment is used as what."""
        allowed = (part.is_first, part.is_last)
        into, out = part.entry_link, part.exit_link
        both = min(into, out) if into is not None and out is not None else None
        inner, entry, last, through = (
            [
                (segment, model.add_variable(f"{name}_{i}", 0, None, pulp.LpInteger))
                for i, segment in enumerate(segments)
                if segment.ends[0] <= allowed[0] and segment.ends[1] <= allowed[1]
            ]
            for name, segments in (
                ("inner", self._pool.segments),
                ("entry", self._door(into, until)),
                ("exit", self._door(out, until)),
                ("both", self._door(both, until)),
            )
        )
        return _Uses(inner, entry, last, through)

    def _door(self, link: int | None, until: float) -> Sequence[Segment]:
        """Return segments whose stages pass the flow although none passes more than a link."""
        if link is None:
            return ()
        if link not in self._doors:
            narrow = replace(self._table, rates=np.minimum(self._table.rates, link))
            pool = SegmentPool(self._problem, narrow, self._target)
            pool.generate(SEGMENT_PARAMS.step_grids, until)
            self._doors[link] = pool.segments
        return self._doors[link]

    def placed(self, found: SiteSegments, first_layer: int) -> Placement:
        """Lay the segments end to end from a layer on."""
        groups = formed_groups(self._problem, found.partitioned)
        columns: list[StageCount] = []
        for segments in (found.entry, found.inner, found.exit):
            for column in lay_out(self._table.classes, segments, groups):
                first, end = column.layers
                layers = first + first_layer, end + first_layer
                columns.append(StageCount(column.kind, layers, column.count))
            first_layer += sum(segment.num_layers for segment in segments)
        return place(self._problem, StageCounts(tuple(columns), found.partitioned))
