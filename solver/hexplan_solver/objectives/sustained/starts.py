"""Placements to search from: that of largest flow, simple ones, and segments of fewer hops.

A placement of fewer hops passes a smaller flow, but a request holds its KV cache for a shorter time
on it, so it may serve more.
"""

from __future__ import annotations

from hexplan_solver.bounds.work_bound import work_bound
from hexplan_solver.budget import Budget
from hexplan_solver.flow.evaluate import Evaluated
from hexplan_solver.links.arrange import ArrangeOptions, arrange
from hexplan_solver.objectives.sustained.candidate import Candidate, candidate_of
from hexplan_solver.objectives.sustained.params import SUSTAINED_PARAMS
from hexplan_solver.options import SolveOptions
from hexplan_solver.placement.naming import place
from hexplan_solver.placement.placement import Placement
from hexplan_solver.placement.stage_counts import least_coverage
from hexplan_solver.problem.problem import Problem
from hexplan_solver.segments.segments import solve_segments
from hexplan_solver.simulate import Policy


def starts(
    static: Evaluated, policy: Policy, options: SolveOptions, time_limit_s: float
) -> list[Candidate]:
    """Return candidates, the one of the largest served rate by the formula first.

    Parameters
    ----------
    static
        The placement of largest flow.
    """
    problem, targets = static.problem, SUSTAINED_PARAMS.targets
    found = [candidate_of(problem, static.placement, policy)]
    if not problem.is_pinned:
        sites = sorted({host.site for host in problem.spec.cluster.hosts})
        limit_s = time_limit_s / len(targets) / (1 + len(sites))
        for target in targets:
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
    """Place segments whose flow is about `target` times the bound, arranged for the links."""
    budget = Budget(time_limit_s, int(work_bound(problem) * target))
    coverage = solve_segments(problem, options, budget)
    value = least_coverage(problem, coverage.stages)
    if not value:
        return Placement()
    return arrange(problem, place(problem, coverage), value, ArrangeOptions(options.seed))


def _within(problem: Problem, site: str) -> Problem:
    """Return the problem on the hosts of one site."""
    return problem.only([host.name for host in problem.spec.cluster.hosts if host.site == site])
