"""Make a placement suit the links: arrange it, group the sites, then search from the best."""

from __future__ import annotations

from collections.abc import Sequence

from hexplan.constants import MICRO
from hexplan.errors import LimitReached
from hexplan_solver.bounds.zone_bound import zone_bound
from hexplan_solver.budget import Budget
from hexplan_solver.flow.evaluate import Evaluated, better_of, evaluate_used
from hexplan_solver.flow.network import Network
from hexplan_solver.flow.valuers import valuer_for
from hexplan_solver.links.link_milp import small_network, solve_links
from hexplan_solver.links.link_search import LinkSearch
from hexplan_solver.links.local_search import Goal, improve
from hexplan_solver.links.params import LINK_PARAMS, LinkParams
from hexplan_solver.links.starts import starts_for
from hexplan_solver.placement.naming import place
from hexplan_solver.placement.placement import Placement
from hexplan_solver.problem.problem import Problem
from hexplan_solver.problem.zones import link_limits
from hexplan_solver.run import MILP_TOLERANCE, Run
from hexplan_solver.start.link_free import LinkFreePlacement


def fit_links(
    run: Run,
    problem: Problem,
    link_free: LinkFreePlacement,
    others: Sequence[LinkFreePlacement],
    params: LinkParams = LINK_PARAMS,
) -> Evaluated:
    """Return the best placement found, with its exact flow over the links.

    Parameters
    ----------
    link_free
        The best placement without links; if the links carry its flow, it is the answer.
    others
        More placements to search from, if they do not.

    Raises
    ------
    LimitReached
        If no placement was found whose links carry anything.
    """
    best = evaluate_used(problem, place(problem, link_free.counts))
    if _loses_flow(best, link_free):
        search = LinkSearch(run, problem, valuer_for(best), params)
        best = _searched(search, best, [link_free, *others])
    if best.value == 0:
        message = (
            "no placement was found whose stages are connected to each other and the coordinator"
        )
        raise LimitReached(
            message, hint="look at `links`: pairs that no rule names are unconnected"
        )
    run.tell("links", best.value / MICRO)
    return best


def _loses_flow(found: Evaluated, link_free: LinkFreePlacement) -> bool:
    """Say whether the links pass less than a placement has without them."""
    return found.value < link_free.value * (1 - MILP_TOLERANCE)


def _searched(
    search: LinkSearch, best: Evaluated, link_free: Sequence[LinkFreePlacement]
) -> Evaluated:
    """Return the best placement that the search finds, or the best so far."""
    run, problem, params = search.run, search.problem, search.params
    every = small_network(problem, params)
    starts = starts_for(search, link_free, is_small=every is not None)
    best = better_of(best, evaluate_used(problem, starts[0]))
    if _loses_flow(best, link_free[0]):
        _lower_bound(search, best)
    if every is not None:
        best = _exact(search, every, best)
    for attempt in range(params.attempts):
        if run.bound - best.value <= params.close * run.bound or not run.left_s:
            break
        found = _improved(search, starts[attempt % len(starts)], attempt)
        best = better_of(best, evaluate_used(problem, found))
    return best


def _lower_bound(search: LinkSearch, best: Evaluated) -> None:
    """Lower the bound where little passes between the sites."""
    run = search.run
    limits = link_limits(search.problem, run.bound)
    if limits.is_zoned:
        limit_s = run.left_s * search.params.bound_share
        budget = Budget(limit_s, run.bound, best.value)
        proved = zone_bound(search.problem, limits.zones, budget)
        run.lower(proved, "zone bound: LP duals, over every share that a site can have of the flow")
        run.tell("zones", best.value / MICRO)


def _exact(search: LinkSearch, every: Network, best: Evaluated) -> Evaluated:
    """Solve placement and flow in one MILP; return the better of its answer and the best so far."""
    run, limit_s = search.run, search.run.left_s * search.params.exact_share
    budget = Budget(limit_s, run.bound, watch=run.watcher("links"))
    placed, bound = solve_links(search.problem, every, best.placement, run.options, budget)
    found = better_of(best, evaluate_used(search.problem, placed))
    run.tighten(bound, found.value, "link bound: dual bound of the MILP over placement and flow")
    return found


def _improved(search: LinkSearch, start: Placement, attempt: int) -> Placement:
    """Search from a placement for an equal part of the time left."""
    run, attempts = search.run, search.params.attempts
    until = run.elapsed_s + run.left_s / (attempts - attempt)

    def may_go_on(best: int) -> bool:
        run.tell("links", best / MICRO)
        return run.elapsed_s < until and run.left_s > 0

    seed = run.options.seed * attempts + attempt
    return improve(search, start, Goal(run.bound, may_go_on), seed)
