"""Two zones, of which the larger helps the smaller: each serves by itself, and flow crosses once.

Each zone passes a base flow at all layers. Extra flow passes the first layers in the larger zone,
is sent over, and passes the other layers in the smaller one. So a zone passes base plus extra flow
on some layers, and only its base flow on the others. Each zone is solved by itself, by segments of
these two targets. All that ties them together is the layer at which the extra flow crosses.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import pulp

from hexplan_solver.bounds.work_bound import work_bound
from hexplan_solver.budget import Budget
from hexplan_solver.links.params import LINK_PARAMS, LinkParams
from hexplan_solver.milp import solve_milp
from hexplan_solver.options import SolveOptions
from hexplan_solver.placement.naming import place
from hexplan_solver.placement.placement import Placement
from hexplan_solver.placement.rate_classes import RateClasses
from hexplan_solver.placement.stage_counts import StageCount, StageCounts
from hexplan_solver.placement.supply_rows import add_partitions
from hexplan_solver.problem.problem import Problem
from hexplan_solver.segments.choice import formed_groups, lay_out, limit_to_hosts
from hexplan_solver.segments.params import SEGMENT_PARAMS
from hexplan_solver.segments.pool import SegmentPool
from hexplan_solver.segments.pricing import LaneTable
from hexplan_solver.segments.segment import Segment


@dataclass(frozen=True, slots=True)
class ZonePair:
    """Two zones, and what one can send to the other."""

    larger: Problem
    """The problem on the hosts of the zone that sends."""
    smaller: Problem
    """The problem on those of the zone that receives; it may have no flow of its own."""
    most_sent: int
    """In 1e-6 tokens/s."""


def place_zone_pair(
    pair: ZonePair,
    options: SolveOptions,
    time_limit_s: float,
    params: LinkParams = LINK_PARAMS,
) -> Placement:
    """Return the best placement found on two zones, of which one helps the other.

    Some base flows and extra flows of the smaller zone are tried; for each, the larger zone's base
    flow is found by bisection.
    """
    until = time.monotonic() + time_limit_s
    larger = _ZonePlanner(pair.larger, options, params, until, is_first=True)
    smaller = _ZonePlanner(pair.smaller, options, params, until, is_first=False)
    offers: list[_ZoneSegments] = []
    tried = [(0.0, share) for share in params.pair_transfers]
    for base, share in [*tried, *((base, 1.0) for base in params.pair_bases)]:
        if offers and time.monotonic() > until:
            break
        base_flow, extra = int(smaller.most * base), int(pair.most_sent * share)
        helped = smaller.most_extra_layers(base_flow, extra)
        if helped is not None:
            offers.append(helped)
    best, best_flow, total = Placement(), 0, pair.larger.num_layers
    # The more of the work the smaller zone does, the more flow is in reach.
    for helped in sorted(offers, key=lambda offer: -offer.work(total)):
        if best and time.monotonic() > until:
            break
        passed = helped.base + helped.extra
        num_extra_layers = total - helped.num_extra_layers
        found = larger.largest_base(num_extra_layers, best_flow - passed, helped.extra)
        if found is not None:
            best_flow = found.base + passed
            best = Placement.of([*larger.placed(found), *smaller.placed(helped)])
    return best


@dataclass(frozen=True, slots=True)
class _ZoneSegments:
    """The segments of one zone: some pass base and extra flow, the others only base flow."""

    base: int
    """In 1e-6 tokens/s."""
    extra: int
    """In 1e-6 tokens/s."""
    num_extra_layers: int
    """Layers that the extra flow passes in this zone."""
    with_extra: tuple[Segment, ...]
    without_extra: tuple[Segment, ...]
    partitioned: tuple[tuple[int, ...], ...]
    """For each class, how many hosts use each of its partitions."""

    def work(self, num_layers: int) -> int:
        """Return the sum over all layers of what the zone passes."""
        return self.base * num_layers + self.extra * self.num_extra_layers


class _ZonePlanner:
    """Plans one zone: what it can pass with the extra flow and without."""

    def __init__(
        self,
        problem: Problem,
        options: SolveOptions,
        params: LinkParams,
        until: float,
        *,
        is_first: bool,
    ) -> None:
        self.most = work_bound(problem)
        """No flow of the zone alone is larger, in 1e-6 tokens/s."""
        self._problem, self._options, self._params = problem, options, params
        self._is_first, self._until = is_first, until
        self._table = LaneTable.of(problem, RateClasses.of(problem), 1)
        self._segments: dict[int, list[Segment]] = {}

    def largest_base(self, num_extra_layers: int, floor: int, extra: int) -> _ZoneSegments | None:
        """Return the largest base flow found above a floor that leaves enough extra layers."""
        low, high = max(0, floor), self.most
        best = None
        for _ in range(self._params.pair_halvings):
            if time.monotonic() > self._until:
                break
            middle = (low + high + 1) // 2
            found = self.most_extra_layers(middle, extra)
            if found is None or found.num_extra_layers < num_extra_layers:
                high = middle
            else:
                low, best = middle, found
        return best

    def most_extra_layers(self, base: int, extra: int) -> _ZoneSegments | None:
        """Return segments that pass the base flow at all layers, and the extra flow at the most."""
        # The extra flow passes the layers at one end of the model.
        near, far = (0, 1) if self._is_first else (1, 0)
        with_extra = [s for s in self._segments_for(base + extra) if not s.ends[far]]
        without = [s for s in self._segments_for(base) if not s.ends[near]] if base else []
        model = pulp.LpProblem("zone", pulp.LpMaximize)
        pool = [*with_extra, *without]
        uses = [
            (s, model.add_variable(f"x_{i}", 0, None, pulp.LpInteger)) for i, s in enumerate(pool)
        ]
        partitions = add_partitions(model, self._problem)
        layers = [s.num_layers * use for s, use in uses]
        extra_layers = pulp.lpSum(layers[: len(with_extra)])
        model += extra_layers
        total = self._problem.num_layers
        # Without a base flow, the layers without extra flow need no stages.
        model += (pulp.lpSum(layers) == total if base else extra_layers <= total), "layers"
        for end in (near, far) if base else (near,):
            model += pulp.lpSum(x for s, x in uses if s.ends[end]) == 1, f"end_{end}"
        limit_to_hosts(model, self._problem, self._table.classes, uses, partitions)
        budget = Budget(self._params.pair_milp_s)
        patience = self._params.pair_patience
        result = solve_milp(model, self._options, budget, patience=patience)
        if result.values is None:
            return None
        counts = [round(result.values[use.name]) for _, use in uses]
        chosen = [
            tuple(s for s, n in zip(pool[part], counts[part], strict=True) for _ in range(n))
            for part in (slice(None, len(with_extra)), slice(len(with_extra), None))
        ]
        partitioned = tuple(tuple(round(result.values[z.name]) for z in row) for row in partitions)
        num_extra = sum(segment.num_layers for segment in chosen[0])
        return _ZoneSegments(base, extra, num_extra, chosen[0], chosen[1], partitioned)

    def placed(self, found: _ZoneSegments) -> Placement:
        """Lay the segments with extra flow at one end of the model, and the others beside them."""
        groups = formed_groups(self._problem, found.partitioned)
        others = self._problem.num_layers - found.num_extra_layers
        starts = (0, found.num_extra_layers) if self._is_first else (others, 0)
        columns = [
            StageCount(c.kind, (c.layers[0] + start, c.layers[1] + start), c.count)
            for start, segments in zip(starts, (found.with_extra, found.without_extra), strict=True)
            for c in lay_out(self._table.classes, segments, groups)
        ]
        return place(self._problem, StageCounts(tuple(columns), found.partitioned))

    def _segments_for(self, target: int) -> list[Segment]:
        """Return segments that pass a target flow."""
        if target not in self._segments:
            pool = SegmentPool(self._problem, self._table, target)
            pool.generate(SEGMENT_PARAMS.step_grids, self._until)
            self._segments[target] = pool.segments
        return self._segments[target]
