"""Placements to search from: the static optimum, and shallower ones, over all sites or in each."""

from __future__ import annotations

from hexplan_solver.bounds.work_bound import work_bound
from hexplan_solver.budget import Budget
from hexplan_solver.flow.evaluate import Evaluated
from hexplan_solver.links.arrange import ArrangeOptions, arrange
from hexplan_solver.objectives.sustained.candidate import Candidate, candidate_of
from hexplan_solver.options import SolveOptions
from hexplan_solver.placement.naming import place
from hexplan_solver.placement.placement import Placement
from hexplan_solver.placement.stage_counts import least_coverage
from hexplan_solver.problem.problem import Problem
from hexplan_solver.segments.segments import solve_segments
from hexplan_solver.simulate import Policy

TARGETS = (0.75, 0.55, 0.4)
"""Static flows, as shares of the bound, at which shallower placements are looked for."""


def starts(
    static: Evaluated, policy: Policy, options: SolveOptions, time_limit_s: float
) -> list[Candidate]:
    """Return candidates with a flow, the one that serves most by the formula first.

    Parameters
    ----------
    static
        The placement of largest flow.
    """
    problem = static.problem
    found = [candidate_of(problem, static.placement, policy)]
    if not problem.is_pinned:
        sites = sorted({host.site for host in problem.spec.cluster.hosts})
        limit_s = time_limit_s / len(TARGETS) / (1 + len(sites))
        for target in TARGETS:
            whole = _segments(problem, options, target, limit_s)
            apart = Placement.of(
                stage
                for site in sites
                for stage in _segments(_within(problem, site), options, target, limit_s)
            )
            found += [candidate_of(problem, some, policy) for some in (whole, apart) if some]
    with_flow = [start for start in found if start is not None]
    return sorted(with_flow, key=lambda start: -start.served.decode_tokens_per_s)


def _segments(
    problem: Problem, options: SolveOptions, target: float, time_limit_s: float
) -> Placement:
    """Place segments of about a share of the bound, arranged for the links; none if none fit."""
    budget = Budget(time_limit_s, int(work_bound(problem) * target))
    coverage = solve_segments(problem, options, budget)
    value = least_coverage(problem, coverage.stages)
    if not value:
        return Placement()
    return arrange(problem, place(problem, coverage), value, ArrangeOptions(options.seed))


def _within(problem: Problem, site: str) -> Problem:
    """Return the problem on the hosts of one site."""
    return problem.only([host.name for host in problem.spec.cluster.hosts if host.site == site])
