"""Placements from which the search for one that suits the links begins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hexplan_solver.budget import Budget
from hexplan_solver.flow.valuers import Valuer
from hexplan_solver.infeasible.one_route import find_route
from hexplan_solver.infeasible.places import place_paths
from hexplan_solver.links.arrange import arrange
from hexplan_solver.links.splits import best_split
from hexplan_solver.links.zoned_starts import balanced_starts, bordered_starts
from hexplan_solver.placement.naming import place
from hexplan_solver.placement.placement import Placement
from hexplan_solver.placement.stage_counts import StageCounts, least_coverage
from hexplan_solver.problem.problem import Problem
from hexplan_solver.problem.zones import zones_of
from hexplan_solver.run import Run
from hexplan_solver.segments.params import SegmentParams
from hexplan_solver.segments.segments import solve_segments
from hexplan_solver.start.incumbent import Incumbent
from hexplan_solver.start.params import START_PARAMS
from hexplan_solver.start.slices import num_devices

ARRANGE_SHARE, SEGMENTS_SHARE, BORDERED_SHARE, SPLIT_SHARE = 0.3, 0.15, 0.8, 0.4
"""Shares of the time left: for arranging, for more segments to arrange, for segments by zones, and
for sites by themselves."""
ARRANGEMENTS, ZONED = 16, 1
"""Seeds from which one placement is arranged; few where zones keep it from its flow anyway."""
FAR = 0.9
"""Where zones pass less than this share of a placement, others made without regard to links do no
better."""
GOOD = 0.97
"""Share of the bound at which no other starts are looked for."""
FEW_PATHS = 20
"""Paths through the links within which one route is looked for, at most."""
HOPEFUL = 0.7
"""Placements with less than this share of the best flow are not searched from."""

WHOLE_SEGMENTS = SegmentParams(longest_lane=1)
"""Every stage of a segment holds all of its layers."""


def starts_for(
    run: Run, problem: Problem, valuer: Valuer, incumbents: Sequence[Incumbent], *, is_small: bool
) -> list[Placement]:
    """Return placements to search from, the best first: what is quick comes before what is not.

    Parameters
    ----------
    incumbents
        Placements that were made without regard to links.
    is_small
        Whether one MILP holds placement and flow; then the time is that one's.
    """
    zones = zones_of(problem, run.bound)
    starts = _Starts(run, problem, valuer, len(zones))
    is_zoned = len(zones) > 1 and not problem.is_pinned
    if is_zoned:
        starts.add(balanced_starts(run, problem, zones))
    starts.add_arranged([i for i in incumbents if i.value])
    if is_zoned and not is_small:
        budget = Budget(run.left_s * BORDERED_SHARE, run.bound, starts.best)
        starts.add(bordered_starts(run, problem, zones, valuer, budget))
    if not starts.best and not problem.is_pinned:
        # Where links are few, one route may be all that any search finds.
        paths = place_paths(problem)[:FEW_PATHS]
        routes = (find_route(problem, path, run.options) for path in paths)
        starts.add_first([Placement.of(route) for route in routes if route][:1])
    if starts.best < GOOD * run.bound:
        starts.add([best_split(run, problem, valuer, run.left_s * SPLIT_SHARE, starts.best)])
    return starts.hopeful()


class _Starts:
    """Placements to search from, and what each of them passes."""

    def __init__(self, run: Run, problem: Problem, valuer: Valuer, num_zones: int) -> None:
        self._run, self._problem, self._valuer = run, problem, valuer
        self._is_zoned = num_zones > 1
        self._found: list[tuple[int, Placement]] = []

    def add(self, placements: Iterable[Placement]) -> None:
        """Valuer placements, and keep those that there are."""
        self._found += [(self._valuer.flow(stages), stages) for stages in placements if stages]

    def add_first(self, placements: Iterable[Placement]) -> None:
        """Put placements before those that pass as much: below the valuer's unit counts as 0."""
        before, self._found = self._found, []
        self.add(placements)
        self._found += before

    def add_arranged(self, incumbents: Sequence[Incumbent]) -> None:
        """Arrange placements, as long as the links carry about what they pass."""
        run, problem = self._run, self._problem
        until = run.elapsed_s + run.left_s * ARRANGE_SHARE
        may_be_far, is_far = self._is_zoned and not problem.is_pinned, False
        for incumbent in incumbents:
            self._found.append(self._arranged(incumbent.counts, until))
            is_far = may_be_far and self.best < FAR * incumbent.value
            if is_far:
                break
        is_open = num_devices(problem) <= START_PARAMS.milp_devices and not problem.is_pinned
        if is_open and not is_far and self.best < GOOD * run.bound:
            # Stages that hold whole segments are easier to join than lanes of several.
            budget = Budget(run.left_s * SEGMENTS_SHARE, run.bound)
            counts = solve_segments(problem, run.options, budget, params=WHOLE_SEGMENTS)
            if counts.stages:
                self._found.append(self._arranged(counts, until))

    @property
    def best(self) -> int:
        """The largest flow, in 1e-6 tokens/s."""
        return max((flow for flow, _ in self._found), default=0) * self._valuer.unit

    def hopeful(self) -> list[Placement]:
        """Return those worth searching from, the best first."""
        ranked = sorted(self._found, key=lambda pair: pair[0], reverse=True)
        return [stages for flow, stages in ranked if flow >= HOPEFUL * ranked[0][0]]

    def _arranged(self, counts: StageCounts, until: float) -> tuple[int, Placement]:
        """Arrange a placement from several seeds, until it passes what it would without links."""
        run, problem, valuer = self._run, self._problem, self._valuer

        def may_go_on() -> bool:
            return run.elapsed_s < until and run.left_s > 0

        seeds = ZONED if self._is_zoned else ARRANGEMENTS
        wanted = least_coverage(problem, counts.stages)
        best = placed = place(problem, counts)
        value = valuer.flow(best)
        for seed in range(run.options.seed, run.options.seed + seeds):
            if value >= wanted // valuer.unit - len(best) or not may_go_on():
                break
            found = arrange(problem, placed, wanted, seed, may_go_on)
            flow = valuer.flow(found)
            if flow > value:
                best, value = found, flow
        return value, best
