"""Divide the sites into groups, each of which serves requests by itself.

Within a group links matter little, and between groups nothing passes. If a group is a pair, its
larger part may also help the smaller one (`zone_pair`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hexplan_solver.bounds.work_bound import work_bound
from hexplan_solver.budget import Budget
from hexplan_solver.links.arrange import ArrangeOptions, arrange
from hexplan_solver.links.link_search import LinkSearch
from hexplan_solver.links.zone_pair import ZonePair, place_zone_pair
from hexplan_solver.placement.naming import place
from hexplan_solver.placement.placement import Placement
from hexplan_solver.problem.problem import Problem
from hexplan_solver.problem.zones import Zone, hosts_by_site, link_limits
from hexplan_solver.start.link_free import better_placement, first_placement

Group = tuple[int, ...]
"""Parts of the cluster that serve together, by position."""


def best_grouping(search: LinkSearch, time_limit_s: float, reached: int) -> Placement:
    """Return the best placement over the ways to group the sites, or none under pins.

    Parameters
    ----------
    reached
        The flow of another placement. If it is 0, every part is tried by itself, even if the time
        is up.
    """
    run, problem, params = search.run, search.problem, search.params
    if problem.is_pinned:
        return Placement()
    parts = _parts(problem, run.bound)
    groupings: list[list[Group]]
    has_many_parts = len(parts) > params.max_grouped_parts
    if has_many_parts or len(problem.spec.cluster.hosts) > params.max_grouped_hosts:
        groupings = [[(part,) for part in range(len(parts))]]
    else:
        # One group of all parts would be the cluster, unless it is a pair, which has its own way.
        ways = _groupings(range(len(parts)))
        groupings = [way for way in ways if len(way) > 1 or len(parts) == 2]
    groups = sorted({g for grouping in groupings for g in grouping}, key=lambda g: (len(g), g))
    until = run.elapsed_s + time_limit_s
    planner = _GroupPlanner(search, parts)
    placed: dict[Group, Placement] = {}
    for group in groups:
        if (len(group) == 1 and not reached) or run.elapsed_s < until:
            placed[group] = planner.place(group, time_limit_s / len(groups))
    joined = [
        Placement.of(stage for group in grouping for stage in placed[group])
        for grouping in groupings
        if all(group in placed for group in grouping)
    ]
    return max((stages for stages in joined if stages), key=search.valuer.flow, default=Placement())


def _parts(problem: Problem, bound: int) -> Sequence[Zone]:
    """Return the zones; if there is only one, its sites, as single links may bind."""
    limits = link_limits(problem, bound)
    if limits.is_zoned:
        return limits.zones
    return [Zone(names, bound, bound) for names in hosts_by_site(problem.spec.cluster)]


def _groupings(parts: Sequence[int]) -> Iterator[list[Group]]:
    """Yield every way to divide parts into groups."""
    if not parts:
        yield []
        return
    first, rest = parts[0], parts[1:]
    for grouping in _groupings(rest):
        yield [(first,), *grouping]
        for i, group in enumerate(grouping):
            yield [*grouping[:i], (first, *group), *grouping[i + 1 :]]


class _GroupPlanner:
    """Places the model on single groups."""

    def __init__(self, search: LinkSearch, parts: Sequence[Zone]) -> None:
        self._search, self._parts = search, parts

    def place(self, group: Group, limit_s: float) -> Placement:
        """Place a group without links and arrange it; if it is a pair, let one help the other."""
        found = [self._place_arranged(group, limit_s)]
        if len(group) == 2:
            found.append(self._place_pair(group, limit_s))
        return max(found, key=lambda stages: self._search.valuer.flow(stages) if stages else 0)

    def _place_arranged(self, group: Group, limit_s: float) -> Placement:
        run, params = self._search.run, self._search.params
        hosts = [name for part in group for name in self._parts[part].hosts]
        own = self._search.problem.only(hosts)
        if not work_bound(own):
            return Placement()
        start = first_placement(own, run.options, limit_s * params.group_start_share)
        seconds = limit_s * (1 - params.group_start_share)
        budget = Budget(seconds, run.bound, watch=run.watcher("sites"))
        found = better_placement(own, start, run.options, budget)
        if not found.value:
            return Placement()
        options = ArrangeOptions(run.options.seed, lambda: run.left_s > 0, params)
        return arrange(own, place(own, found.counts), found.value, options)

    def _place_pair(self, group: Group, limit_s: float) -> Placement:
        """Place two parts of which the larger helps the smaller as far as links allow."""
        run, params = self._search.run, self._search.params
        problems = [self._search.problem.only(self._parts[part].hosts) for part in group]
        larger, smaller = sorted(range(2), key=lambda i: (-work_bound(problems[i]), i))
        sends, receives = (self._parts[group[i]] for i in (larger, smaller))
        most = min(sends.outward, receives.inward)
        if not 0 < most < run.bound:
            return Placement()
        pair = ZonePair(problems[larger], problems[smaller], most)
        return place_zone_pair(pair, run.options, limit_s, params)
