"""Hosts or sites that serve by themselves: where little crosses, most of the flow need not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hexplan_solver.bounds.work_bound import work_bound
from hexplan_solver.links.link_search import LinkSearch
from hexplan_solver.placement.naming import place
from hexplan_solver.placement.placement import PlacedStage, Placement
from hexplan_solver.problem.zones import hosts_by_site
from hexplan_solver.start.link_free import first_placement


def alone_starts(search: LinkSearch, time_limit_s: float) -> Iterator[Placement]:
    """Yield a placement of hosts that hold the whole model, and one of sites that do.

    What does not fit the model by itself stays idle, for the local search to add.
    """
    problem, until = search.problem, search.run.elapsed_s + time_limit_s
    yield _union(search, [[(h,) for h in c.hosts] for c in problem.classes if c.hosts], until)
    sites = hosts_by_site(problem.spec.cluster)
    if 1 < len(sites) < len(problem.spec.cluster.hosts):
        yield _union(search, [[site] for site in sites], until)


def _union(
    search: LinkSearch, parts: Sequence[Sequence[tuple[str, ...]]], until: float
) -> Placement:
    """Place the model on each part of the cluster by itself.

    Parameters
    ----------
    parts
        Parts that are alike are listed together: they get the same placement.
    """
    problem, run = search.problem, search.run
    stages: list[PlacedStage] = []
    for position, alike in enumerate(parts):
        left_s = (until - run.elapsed_s) / (len(parts) - position)
        if left_s <= 0:
            break
        own = problem.only(alike[0])
        found = first_placement(own, run.options, left_s) if work_bound(own) else None
        if found is not None and found.value:
            for hosts in alike:
                stages += place(problem.only(hosts), found.counts)
    return Placement.of(stages)
