"""Make a placement fit the links: arrange it, split the sites, then search from the best."""

from __future__ import annotations

from collections.abc import Sequence

from hexplan.constants import MICRO
from hexplan.errors import LimitReached
from hexplan_solver.bounds.zone_bound import zone_bound
from hexplan_solver.budget import Budget
from hexplan_solver.flow.evaluate import Evaluated, better_of, evaluate_used
from hexplan_solver.flow.network import Network
from hexplan_solver.flow.valuers import Valuer, valuer_for
from hexplan_solver.infeasible.missing_rules import missing_rule_hint
from hexplan_solver.links.link_milp import small_network, solve_links
from hexplan_solver.links.search import Goal, improve
from hexplan_solver.links.starts import starts_for
from hexplan_solver.placement.naming import place
from hexplan_solver.placement.placement import Placement
from hexplan_solver.problem.problem import Problem
from hexplan_solver.problem.zones import zones_of
from hexplan_solver.run import MILP_TOLERANCE, Run
from hexplan_solver.start.incumbent import Incumbent

BOUND_SHARE, EXACT_SHARE = 0.4, 0.6
"""Shares of the time left: for the bound and the MILP."""
LITTLE = 1e-3
"""The search ends once so little is left to gain, as a share of the bound."""
ATTEMPTS = 6
"""Searches, in turn from each start, each with a seed of its own: they end far apart."""


def fit_links(
    run: Run, problem: Problem, incumbent: Incumbent, others: Sequence[Incumbent]
) -> Evaluated:
    """Return the best placement found, exact in every capacity.

    Parameters
    ----------
    others
        More placements to search from, if the links do not carry the incumbent.

    Raises
    ------
    LimitReached
        If no placement was found whose links carry anything.
    """
    best = evaluate_used(problem, place(problem, incumbent.counts))
    if best.value < incumbent.value * (1 - MILP_TOLERANCE):
        valuer = valuer_for(best)
        every = small_network(problem)
        starts = starts_for(run, problem, valuer, [incumbent, *others], is_small=every is not None)
        best = better_of(best, evaluate_used(problem, starts[0]))
        if best.value < incumbent.value * (1 - MILP_TOLERANCE):
            _lower_bound(run, best)
        if every is not None:
            best = _exact(run, every, best)
        for attempt in range(ATTEMPTS):
            if run.bound - best.value <= LITTLE * run.bound or not run.left_s:
                break
            start = starts[attempt % len(starts)]
            found = _improved(run, problem, valuer, start, attempt)
            best = better_of(best, evaluate_used(problem, found))
    if best.value == 0:
        message = (
            "no placement was found whose stages are connected to each other and the coordinator"
        )
        raise LimitReached(message, hint=missing_rule_hint(problem.spec.cluster))
    run.tell("links", best.value / MICRO)
    return best


def _lower_bound(run: Run, best: Evaluated) -> None:
    """Lower the bound where little passes between the sites."""
    zones = zones_of(best.problem, run.bound)
    if len(zones) > 1:
        limit_s = run.left_s * BOUND_SHARE
        budget = Budget(limit_s, run.bound, best.value)
        proved = zone_bound(best.problem, zones, budget)
        run.lower(proved, "zone bound: LP duals, over every share that a site can have of the flow")
        run.tell("zones", best.value / MICRO)


def _exact(run: Run, every: Network, best: Evaluated) -> Evaluated:
    """Solve placement and flow in one MILP, and return the better of that and the best so far."""
    budget = Budget(run.left_s * EXACT_SHARE, run.bound, watch=run.watcher("links"))
    placed, bound = solve_links(best.problem, every, best.placement, run.options, budget)
    found = better_of(best, evaluate_used(best.problem, placed))
    run.tighten(bound, found.value, "link bound: dual bound of the MILP over placement and flow")
    return found


def _improved(
    run: Run, problem: Problem, valuer: Valuer, start: Placement, attempt: int
) -> Placement:
    until = run.elapsed_s + run.left_s / (ATTEMPTS - attempt)

    def may_go_on(best: int) -> bool:
        run.tell("links", best / MICRO)
        return run.elapsed_s < until and run.left_s > 0

    seed = run.options.seed * ATTEMPTS + attempt
    return improve(problem, valuer, start, Goal(run.bound, may_go_on), seed)
