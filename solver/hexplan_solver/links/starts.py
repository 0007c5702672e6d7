"""Placements from which the search for one that suits the links begins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hexplan_solver.budget import Budget
from hexplan_solver.flow.evaluate import Evaluated
from hexplan_solver.infeasible.one_route import find_route
from hexplan_solver.infeasible.places import place_paths
from hexplan_solver.links.alone import alone_starts
from hexplan_solver.links.arrange import ArrangeOptions, arrange
from hexplan_solver.links.link_search import LinkSearch
from hexplan_solver.links.site_chain import best_chain
from hexplan_solver.links.site_groups import best_grouping
from hexplan_solver.links.zoned_starts import balanced_starts, banded_starts
from hexplan_solver.placement.naming import place
from hexplan_solver.placement.placement import Placement
from hexplan_solver.placement.stage_counts import StageCounts, least_coverage
from hexplan_solver.problem.zones import link_limits
from hexplan_solver.segments.params import SegmentParams
from hexplan_solver.segments.segments import solve_segments
from hexplan_solver.start.link_free import LinkFreePlacement
from hexplan_solver.start.params import START_PARAMS
from hexplan_solver.start.slices import num_devices

WHOLE_SEGMENTS = SegmentParams(longest_lane=1)
"""Every stage of a segment holds all of its layers."""


def quick_starts(
    search: LinkSearch, link_free: Sequence[LinkFreePlacement], known: Sequence[Evaluated]
) -> list[Placement]:
    """Return placements to search from that are found quickly, the best first.

    Parameters
    ----------
    link_free
        Placements that were made without links.
    known
        Placements of other methods.
    """
    run, problem, params = search.run, search.problem, search.params
    limits = link_limits(problem, run.bound)
    starts = _Starts(search, is_zoned=limits.is_zoned)
    starts.add(evaluated.placement for evaluated in known)
    if limits.is_zoned and not problem.is_pinned:
        starts.add(balanced_starts(search, limits.zones))
    if not problem.is_pinned:
        starts.add(alone_starts(search, run.left_s * params.alone_share))
    starts.add_arranged([placement for placement in link_free if placement.value])
    if starts.best < params.good_enough * run.bound and not problem.is_pinned:
        starts.add([best_chain(search, run.left_s * params.chain_share, starts.best)])
    if not starts.best and not problem.is_pinned:
        # Where links are few, one route may be all that any search finds.
        paths = place_paths(problem)[: params.max_paths]
        routes = (find_route(problem, path, run.options) for path in paths)
        starts.add_first([Placement.of(route) for route in routes if route][:1])
    return starts.hopeful()


def zone_starts(search: LinkSearch, reached: int, *, is_small: bool) -> list[Placement]:
    """Return placements made with the zones or sites in view, the best first; they take long.

    Parameters
    ----------
    reached
        The flow of the best placement so far, in 1e-6 tokens/s.
    is_small
        Whether one MILP holds placement and flow: it knows better than segments.
    """
    run, problem, params = search.run, search.problem, search.params
    limits = link_limits(problem, run.bound)
    starts = _Starts(search, is_zoned=limits.is_zoned)
    if limits.is_zoned and not problem.is_pinned and not is_small:
        budget = Budget(run.left_s * params.banded_share, run.bound, reached)
        starts.add(banded_starts(search, limits.zones, budget))
    best = max(reached, starts.best)
    if best < params.good_enough * run.bound:
        starts.add([best_grouping(search, run.left_s * params.grouping_share, best)])
    return starts.hopeful()


class _Starts:
    """Placements to search from, and the flow of each."""

    def __init__(self, search: LinkSearch, *, is_zoned: bool) -> None:
        self._search, self._valuer = search, search.valuer
        self._is_zoned = is_zoned
        self._found: list[tuple[int, Placement]] = []

    def add(self, placements: Iterable[Placement]) -> None:
        """Compute the flow of placements, and keep those that are not empty."""
        self._found += [(self._valuer.flow(stages), stages) for stages in placements if stages]

    def add_first(self, placements: Iterable[Placement]) -> None:
        """Put placements before those of equal flow: a flow below an LP's tolerance counts as 0."""
        before, self._found = self._found, []
        self.add(placements)
        self._found += before

    def add_arranged(self, link_free: Sequence[LinkFreePlacement]) -> None:
        """Arrange placements, until the links pass much less than one of them has without links."""
        run, problem, params = self._search.run, self._search.problem, self._search.params
        until = run.elapsed_s + run.left_s * params.arrange_share
        may_be_far, is_far = self._is_zoned and not problem.is_pinned, False
        for placement in link_free:
            self._found.append(self._arranged(placement.counts, until))
            is_far = may_be_far and self.best < params.far * placement.value
            if is_far:
                break
        may_have_more = num_devices(problem) <= START_PARAMS.milp_devices and not problem.is_pinned
        if may_have_more and not is_far and self.best < params.good_enough * run.bound:
            # Stages that hold whole segments are easier to join than lanes of several stages.
            budget = Budget(run.left_s * params.segments_share, run.bound)
            counts = solve_segments(problem, run.options, budget, params=WHOLE_SEGMENTS)
            if counts.stages:
                self._found.append(self._arranged(counts, until))

    @property
    def best(self) -> int:
        """The largest flow, in 1e-6 tokens/s."""
        return max((flow for flow, _ in self._found), default=0)

    def hopeful(self) -> list[Placement]:
        """Return those worth searching from, each once, the best first."""
        ranked = sorted(self._found, key=lambda pair: pair[0], reverse=True)
        share = self._search.params.hopeful
        hopeful = [stages for flow, stages in ranked if flow >= share * ranked[0][0]]
        return list(dict.fromkeys(hopeful))

    def _arranged(self, counts: StageCounts, until: float) -> tuple[int, Placement]:
        """Arrange a placement from several seeds, until it has the flow that it has without links.

        Returns its flow, and the best arrangement.
        """
        run, problem, valuer = self._search.run, self._search.problem, self._valuer
        params = self._search.params

        def may_go_on() -> bool:
            return run.elapsed_s < until and run.left_s > 0

        seeds = params.arrangements_if_zoned if self._is_zoned else params.arrangements
        wanted = least_coverage(problem, counts.stages)
        best = placed = place(problem, counts)
        value = valuer.flow(best)
        for seed in range(run.options.seed, run.options.seed + seeds):
            # Rounding costs up to one unit for each stage.
            if value >= wanted - len(best) or not may_go_on():
                break
            options = ArrangeOptions(seed, may_go_on, params)
            found = arrange(problem, placed, wanted, options)
            flow = valuer.flow(found)
            if flow > value:
                best, value = found, flow
        return value, best
