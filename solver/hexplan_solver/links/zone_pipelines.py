"""Two zones that help each other: pipelines of their own, and a flow that crosses once.

Each zone passes some base flow at all layers. What one can send over, c, lets the first zone pass
base + c on the first n layers, and the second on the others. So each zone is solved by itself, by
segments of two targets, and only n ties them together.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import pulp

from hexplan_solver.bounds.work_bound import work_bound
from hexplan_solver.budget import Budget
from hexplan_solver.milp import Patience, solve_milp
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

BASES = (0.0, 0.3, 0.6, 0.8)
"""Shares of its work bound that the second zone may pass at all layers."""
CROSSINGS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5)
"""Shares of what can cross that may do so: with less, the second zone may hold more layers."""
HALVINGS = 10
"""Steps of the bisection on the first zone's base flow."""
QUICK = Patience(300, 100, 0.01)
TIME_LIMIT_S = 3.0


def help_each_other(
    zones: tuple[Problem, Problem], crossing: int, options: SolveOptions, time_limit_s: float
) -> Placement:
    """Return the best placement found on two zones, of which one helps the other.

    Parameters
    ----------
    zones
        The problem on the hosts of each; the second may have no flow of its own.
    crossing
        What one can send to the other, in 1e-6 tokens/s.
    """
    until = time.monotonic() + time_limit_s
    first, second = (
        _Side(zone, options, is_first, until)
        for zone, is_first in zip(zones, (True, False), strict=True)
    )
    total = zones[0].num_layers
    offers: list[_Raised] = []
    for base, share in [(0.0, share) for share in CROSSINGS] + [(b, 1.0) for b in BASES[1:]]:
        if offers and time.monotonic() > until:
            break
        helped = second.most_raised(int(second.most * base), int(crossing * share))
        if helped is not None:
            offers.append(helped)
    best, best_flow = Placement(), 0
    # The more of the work the second zone does, the more flow is in reach.
    for helped in sorted(offers, key=lambda offer: -offer.work(total)):
        if best and time.monotonic() > until:
            break
        passed = helped.base + helped.crossing
        found = first.best_base(total - helped.raised, best_flow - passed, helped.crossing)
        if found is not None:
            best_flow = found.base + passed
            best = Placement.of([*first.placed(found), *second.placed(helped)])
    return best


@dataclass(frozen=True, slots=True)
class _Raised:
    """Segments of one zone: so many layers with the flow that crosses, and the others without."""

    base: int
    crossing: int
    raised: int
    above: tuple[Segment, ...]
    below: tuple[Segment, ...]
    formed: tuple[tuple[int, ...], ...]
    """For each class, how many hosts are partitioned in each way."""

    def work(self, num_layers: int) -> int:
        """Return the sum over all layers of what the zone passes."""
        return self.base * num_layers + self.crossing * self.raised


class _Side:
    """One zone, and what it can pass beside and with the flow that crosses."""

    def __init__(
        self,
        problem: Problem,
        options: SolveOptions,
        is_first: bool,
        until: float,
    ) -> None:
        self.most = work_bound(problem)
        """No flow of the zone alone is larger, in 1e-6 tokens/s."""
        self._problem, self._options = problem, options
        self._is_first, self._until = is_first, until
        self._table = LaneTable.of(problem, RateClasses.of(problem), 1)
        self._pools: dict[int, list[Segment]] = {}

    def best_base(self, raised: int, floor: int, crossing: int) -> _Raised | None:
        """Return the largest base flow found above a floor, so many layers or more being raised."""
        low, high = max(0, floor), self.most
        best = None
        for _ in range(HALVINGS):
            if time.monotonic() > self._until:
                break
            middle = (low + high + 1) // 2
            found = self.most_raised(middle, crossing)
            if found is None or found.raised < raised:
                high = middle
            else:
                low, best = middle, found
        return best

    def most_raised(self, base: int, crossing: int) -> _Raised | None:
        """Return the segments with the most raised layers, where all layers pass the base flow."""
        # The raised layers lie at one end of the model, and the others at the other.
        near, far = (0, 1) if self._is_first else (1, 0)
        above = [s for s in self._pool(base + crossing) if not s.ends[far]]
        below = [s for s in self._pool(base) if not s.ends[near]] if base else []
        model = pulp.LpProblem("zone", pulp.LpMaximize)
        pool = [*above, *below]
        uses = [
            (s, model.add_variable(f"x_{i}", 0, None, pulp.LpInteger)) for i, s in enumerate(pool)
        ]
        partitions = add_partitions(model, self._problem)
        layers = [s.num_layers * use for s, use in uses]
        raised = pulp.lpSum(layers[: len(above)])
        model += raised
        total = self._problem.num_layers
        # Without a base flow, the layers that are not raised need no stages.
        model += (pulp.lpSum(layers) == total if base else raised <= total), "layers"
        for end in (near, far) if base else (near,):
            model += pulp.lpSum(x for s, x in uses if s.ends[end]) == 1, f"end_{end}"
        limit_to_hosts(model, self._problem, self._table.classes, uses, partitions)
        result = solve_milp(model, self._options, Budget(TIME_LIMIT_S), patience=QUICK)
        if result.values is None:
            return None
        counts = [round(result.values[use.name]) for _, use in uses]
        chosen = [
            tuple(s for s, n in zip(pool[part], counts[part], strict=True) for _ in range(n))
            for part in (slice(None, len(above)), slice(len(above), None))
        ]
        formed = tuple(tuple(round(result.values[z.name]) for z in row) for row in partitions)
        num_raised = sum(segment.num_layers for segment in chosen[0])
        return _Raised(base, crossing, num_raised, chosen[0], chosen[1], formed)

    def placed(self, found: _Raised) -> Placement:
        """Lay the raised segments at one end of the model, and the others beside them."""
        groups = formed_groups(self._problem, found.formed)
        others = self._problem.num_layers - found.raised
        starts = (0, found.raised) if self._is_first else (others, 0)
        columns = [
            StageCount(c.kind, (c.layers[0] + start, c.layers[1] + start), c.count)
            for start, segments in zip(starts, (found.above, found.below), strict=True)
            for c in lay_out(self._table.classes, segments, groups)
        ]
        return place(self._problem, StageCounts(tuple(columns), found.formed))

    def _pool(self, target: int) -> list[Segment]:
        if target not in self._pools:
            pool = SegmentPool(self._problem, self._table, target)
            pool.generate(SEGMENT_PARAMS.step_grids, self._until)
            self._pools[target] = pool.segments
        return self._pools[target]
