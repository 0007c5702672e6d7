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
from hexplan_solver.infeasible.missing_rules import missing_rule_hint
from hexplan_solver.links.link_milp import small_network, solve_links
from hexplan_solver.links.link_search import LinkSearch
from hexplan_solver.links.params import LINK_PARAMS, LinkParams
from hexplan_solver.links.starts import quick_starts, zone_starts
from hexplan_solver.links.walks import Walks
from hexplan_solver.problem.zones import link_limits
from hexplan_solver.run import MILP_TOLERANCE, Run
from hexplan_solver.start.link_free import LinkFreePlacement


def fit_links(
    run: Run,
    placed: Evaluated,
    link_free: Sequence[LinkFreePlacement],
    known: Sequence[Evaluated] = (),
    params: LinkParams = LINK_PARAMS,
) -> Evaluated:
    """Return the best placement found, with its exact flow over the links.

    Parameters
    ----------
    placed
        The best placement without links, on named devices. If the links carry its flow, it is the
        answer.
    link_free
        Placements without links, that one first: if it is not, the search begins from all of them.
    known
        Placements of other methods: the answer is not worse than any, and the search begins from
        these too.

    Raises
    ------
    LimitReached
        If no placement was found whose links carry anything.
    """
    problem, best = placed.problem, placed
    loses = _loses_flow(placed, link_free[0])
    for other in known:
        best = better_of(best, other)
    if loses and not run.is_proved(best.value):
        search = LinkSearch(run, problem, valuer_for(best), params)
        best = _searched(search, best, link_free, known)
    if best.value == 0:
        message = (
            "no placement was found whose stages are connected to each other and the coordinator"
        )
        raise LimitReached(message, hint=missing_rule_hint(problem.spec.cluster))
    run.tell("links", best.value / MICRO)
    return best


def _loses_flow(found: Evaluated, link_free: LinkFreePlacement) -> bool:
    """Say whether the links pass less than a placement has without them."""
    return found.value < link_free.value * (1 - MILP_TOLERANCE)


def _searched(
    search: LinkSearch,
    best: Evaluated,
    link_free: Sequence[LinkFreePlacement],
    known: Sequence[Evaluated],
) -> Evaluated:
    """Search from placements that lose flow at the links."""
    problem, run, params = search.problem, search.run, search.params
    every = small_network(problem, params)
    walks = Walks(search, quick_starts(search, link_free, known))
    best = better_of(best, evaluate_used(problem, walks.best))
    if _loses_flow(best, link_free[0]):
        _lower_bound(search, best)
    if every is not None and run.left_s:
        best = _exact(search, every, best)
        walks.add([best.placement])
    walked = walks.walk(run.left_s * params.early_share)
    best = better_of(best, evaluate_used(problem, walked))
    if best.value < params.good_enough * run.bound:
        walks.add(zone_starts(search, best.value, is_small=every is not None))
    return better_of(best, evaluate_used(problem, walks.walk()))


def _lower_bound(search: LinkSearch, best: Evaluated) -> None:
    """Lower the bound where little passes between the sites."""
    run = search.run
    limits = link_limits(search.problem, run.bound)
    if limits.is_zoned:
        limit_s = run.left_s * search.params.bound_share
        budget = Budget(limit_s, run.bound, best.value)
        proved = zone_bound(search.problem, limits.zones, budget)
        if proved is not None:
            run.lower(proved)
        run.tell("zones", best.value / MICRO)


def _exact(search: LinkSearch, every: Network, best: Evaluated) -> Evaluated:
    """Solve placement and flow in one MILP; return the better of its answer and the best so far."""
    run, limit_s = search.run, search.run.left_s * search.params.exact_share
    budget = Budget(limit_s, run.bound, watch=run.watcher("links"))
    placed, bound = solve_links(search.problem, every, best.placement, run.options, budget)
    found = better_of(best, evaluate_used(search.problem, placed))
    run.tighten(bound, found.value, "link")
    return found
