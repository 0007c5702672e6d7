"""The objective `throughput`: the largest flow, and a bound on every flow."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

from hexplan.bound_proof import CrossingProof
from hexplan.constants import MICRO
from hexplan.errors import InfeasibleError, LimitReached
from hexplan.spec import Spec
from hexplan_solver.baselines.methods import quick_placements
from hexplan_solver.bounds.crossing_bound import crossing_bound
from hexplan_solver.bounds.pattern_bound import pattern_bound
from hexplan_solver.bounds.proof import Proved
from hexplan_solver.bounds.work_bound import quick_bound
from hexplan_solver.budget import Budget
from hexplan_solver.flow.evaluate import Evaluated, better_of, evaluate, evaluate_used
from hexplan_solver.infeasible import refuse_if_infeasible
from hexplan_solver.links.fit import fit_links
from hexplan_solver.milp import MilpStatus
from hexplan_solver.objectives.params import THROUGHPUT_PARAMS
from hexplan_solver.options import Report, SolveOptions, be_silent
from hexplan_solver.placement.naming import place
from hexplan_solver.plans.draft import Draft
from hexplan_solver.problem.problem import Problem, build_problem
from hexplan_solver.problem.zones import LinkLimits, link_limits
from hexplan_solver.run import MILP_TOLERANCE, Run
from hexplan_solver.start.link_free import (
    LinkFreePlacement,
    balanced_placement,
    better_placement,
    first_placement,
)


def draft_throughput(spec: Spec, options: SolveOptions, report: Report = be_silent) -> Draft:
    """Find a plan of large flow, and prove a bound on the flow of every plan.

    Raises
    ------
    InfeasibleError
        If it is proved that no plan exists.
    LimitReached
        If the time was up before one was found.
    InputError
        If the solver that `options` names is not installed.
    """
    run = Run(spec, options, report)
    problem = build_problem(spec)
    refuse_if_infeasible(problem)
    run.lower(quick_bound(problem))
    limits, params = link_limits(problem, run.bound), THROUGHPUT_PARAMS
    crossing = crossing_bound(problem, limits.zones, run.bound)
    run.lower(Proved(crossing, _crossing_proof(problem, limits)))
    balanced = balanced_placement(problem, run.bound)
    part = _part_without_links(problem, limits, balanced)
    known: list[Evaluated] = []
    quick_s = max(run.limit_s * params.quick_share, params.quick_least_s)
    if part < 1:
        known = quick_placements(run, problem, quick_s)
    start, best = _best_without_links(run, problem, balanced, part)
    placed = evaluate_used(problem, place(problem, best.counts))
    if part == 1 and not run.is_proved(placed.value):
        known = quick_placements(run, problem, quick_s)
    found = fit_links(run, placed, [best, start, balanced], known)
    if part < 1 and found.value >= best.value and not run.is_proved(found.value):
        # The links do not limit the flow, so the time that was kept for them is left.
        again = first_placement(problem, run.options, run.left_s * params.start_share, balanced)
        if again.value > found.value:
            placed = evaluate_used(problem, place(problem, again.counts))
            found = better_of(found, fit_links(run, placed, [again]))
    return Draft(found, run.proof(found.value))


def _crossing_proof(problem: Problem, limits: LinkLimits) -> CrossingProof:
    """Return the zones of a crossing bound by their sites; a single one limits nothing."""
    site_of = problem.spec.cluster.site_of
    zones = (tuple(dict.fromkeys(map(site_of, zone.hosts))) for zone in limits.zones)
    return CrossingProof(zones=tuple(zones) if limits.is_zoned else ())


def _part_without_links(problem: Problem, limits: LinkLimits, balanced: LinkFreePlacement) -> float:
    """Return the share of the usual time for placements without links.

    Where links limit the flow, fitting them needs the rest. Whether network cards and single links
    do is seen from a placement that ignores them.
    """
    params = THROUGHPUT_PARAMS
    if limits.has_trunks:
        return params.zone_share if limits.is_zoned else params.trunk_share
    if not balanced.value:
        return 1.0
    carried = evaluate(problem, place(problem, balanced.counts)).value
    return 1.0 if carried >= balanced.value * (1 - MILP_TOLERANCE) else params.link_share


def _best_without_links(
    run: Run, problem: Problem, balanced: LinkFreePlacement, part: float
) -> tuple[LinkFreePlacement, LinkFreePlacement]:
    """Find a first and a best placement with the links ignored, and lower the bound on the way.

    Parameters
    ----------
    part
        Share of the usual time that this may take.
    """
    options, params = run.options, THROUGHPUT_PARAMS
    start = first_placement(problem, options, run.left_s * params.start_share * part, balanced)
    run.tell("start", start.value / MICRO)
    budget = Budget(run.left_s * params.bound_share * part, run.bound, start.value)
    proved = pattern_bound(problem, budget)
    if proved is not None:
        run.lower(proved)
    watch = run.watcher("layers")
    budget = Budget(run.left_s * params.milp_share * part, run.bound, watch=watch)
    best = better_placement(problem, start, options, budget)
    run.tighten(best.bound, best.value)
    run.status = best.status
    if best.value == 0:
        _refuse(run, problem, start)
    run.tell("placed", best.value / MICRO)
    return start, best


def _refuse(run: Run, problem: Problem, start: LinkFreePlacement) -> NoReturn:
    """Raise because there is no placement.

    Two runs of the MILP have to agree that none exists, the second without the solver's presolve:
    otherwise the error only says that none was found.
    """
    if run.status == MilpStatus.INFEASIBLE:
        options = replace(run.options, presolve=False)
        budget = Budget(run.limit_s, run.bound, watch=run.watcher("layers"))
        second = better_placement(problem, start, options, budget)
        if second.status is MilpStatus.INFEASIBLE:
            message = "no placement holds every layer under the pins, though the memory would do"
            raise InfeasibleError(
                message, hint="loosen `pin`: a pinned host serves only its layers"
            )
    message = f"no placement was found in {run.elapsed_s:.0f} s ({run.status})"
    raise LimitReached(message, hint="raise `limits.time`, or loosen `pin` if there is any")
