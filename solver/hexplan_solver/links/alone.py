"""Hosts or sites that serve by themselves: where little crosses, most of the flow need not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hexplan_solver.bounds.work_bound import work_bound
from hexplan_solver.links.link_search import LinkSearch
from hexplan_solver.placement.naming import place
from hexplan_solver.placement.placement import PlacedStage, Placement
from hexplan_solver.problem.problem import HostClass
from hexplan_solver.start.link_free import first_placement


def alone_starts(search: LinkSearch, time_limit_s: float) -> Iterator[Placement]:
    """Yield a placement of hosts that hold the whole model, and one of sites that do.

    What does not fit the model by itself stays idle, for the local search to add.
    """
    problem, run = search.problem, search.run
    until = run.elapsed_s + time_limit_s
    classes = [c for c in problem.classes if c.hosts]
    hosts = problem.spec.cluster.hosts
    sites: dict[str, list[str]] = {}
    for host in hosts:
        sites.setdefault(host.site, []).append(host.name)
    yield _union(search, [c.hosts[:1] for c in classes], until, alike=classes)
    if 1 < len(sites) < len(hosts):
        yield _union(search, list(sites.values()), until)


def _union(
    search: LinkSearch,
    parts: Sequence[Sequence[str]],
    until: float,
    alike: Sequence[HostClass] = (),
) -> Placement:
    """Place the model on each part by itself, and on each host that is like a part's only one."""
    problem, run = search.problem, search.run
    stages: list[PlacedStage] = []
    for position, part in enumerate(parts):
        left_s = (until - run.elapsed_s) / (len(parts) - position)
        if left_s <= 0:
            break
        own = problem.only(part)
        found = first_placement(own, run.options, left_s) if work_bound(own) else None
        if found is None or not found.value:
            continue
        names = [[host] for host in alike[position].hosts] if alike else [part]
        for name in names:
            stages += place(problem.only(name), found.counts)
    return Placement.of(stages)
