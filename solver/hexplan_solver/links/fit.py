"""Make a placement fit the links: arrange it, split the sites, then search from the best."""

from __future__ import annotations

from collections.abc import Sequence

from hexplan.constants import MICRO
from hexplan.errors import LimitReached
from hexplan_solver.bounds.zone_bound import zone_bound
from hexplan_solver.flow.carried import used_part
from hexplan_solver.flow.network import Network, PlacedStage
from hexplan_solver.flow.routes import Flow
from hexplan_solver.links.judges import Judge, judge_for
from hexplan_solver.links.link_milp import small_network, solve_links
from hexplan_solver.links.search import improve
from hexplan_solver.links.starts import starts_for
from hexplan_solver.placement.placement import place
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

Stages = list[PlacedStage]


def fit_links(
    run: Run, problem: Problem, incumbent: Incumbent, others: Sequence[Incumbent]
) -> tuple[Network, Flow]:
    """Return the network and flow of the best placement found, exact in every capacity.

    Parameters
    ----------
    others
        More placements to search from, if the links do not carry the incumbent.

    Raises
    ------
    LimitReached
        If no placement was found whose links carry anything.
    """
    network, flow = used_part(problem, place(problem, incumbent.coverage))
    if flow.value < incumbent.value * (1 - MILP_TOLERANCE):
        judge = judge_for(problem, network.stages, flow)
        every = small_network(problem)
        starts = starts_for(run, problem, judge, [incumbent, *others], is_small=every is not None)
        network, flow = _better_of((network, flow), used_part(problem, starts[0]))
        if flow.value < incumbent.value * (1 - MILP_TOLERANCE):
            _lower_bound(run, problem, flow)
        if every is not None:
            network, flow = _exact(run, problem, every, (network, flow))
        for attempt in range(ATTEMPTS):
            if run.bound - flow.value <= LITTLE * run.bound or not run.left_s:
                break
            start = starts[attempt % len(starts)]
            found = used_part(problem, _improved(run, problem, judge, start, attempt))
            network, flow = _better_of((network, flow), found)
    if flow.value == 0:
        message = (
            "no placement was found whose stages are connected to each other and the coordinator"
        )
        raise LimitReached(
            message, hint="look at `links`: pairs that no rule names are unconnected"
        )
    run.tell("links", flow.value / MICRO)
    return network, flow


def _better_of(one: tuple[Network, Flow], other: tuple[Network, Flow]) -> tuple[Network, Flow]:
    return other if other[1].value > one[1].value else one


def _lower_bound(run: Run, problem: Problem, flow: Flow) -> None:
    """Lower the bound where little passes between the sites."""
    zones = zones_of(problem, run.bound)
    if len(zones) > 1:
        limit_s = run.left_s * BOUND_SHARE
        proved = zone_bound(problem, zones, flow.value, run.bound, limit_s)
        run.lower(proved, "zone bound: LP duals, over every share that a site can have of the flow")
        run.tell("zones", flow.value / MICRO)


def _exact(
    run: Run, problem: Problem, every: Network, best: tuple[Network, Flow]
) -> tuple[Network, Flow]:
    """Solve placement and flow in one MILP, and return the better of that and the best so far."""
    limits = (run.left_s * EXACT_SHARE, run.bound)
    placed, bound = solve_links(
        problem, every, best[0].stages, run.options, limits, run.watcher("links")
    )
    found = _better_of(best, used_part(problem, placed))
    run.tighten(bound, found[1].value, "link bound: dual bound of the MILP over placement and flow")
    return found


def _improved(run: Run, problem: Problem, judge: Judge, start: Stages, attempt: int) -> Stages:
    until = run.elapsed_s + run.left_s / (ATTEMPTS - attempt)

    def may_go_on(best: int) -> bool:
        run.tell("links", best / MICRO)
        return run.elapsed_s < until and run.left_s > 0

    seed = run.options.seed * ATTEMPTS + attempt
    return improve(problem, judge, start, run.bound, seed, may_go_on)
