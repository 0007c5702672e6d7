"""The objective `throughput`: the largest flow, and a bound on every flow."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

from hexplan.constants import MICRO
from hexplan.errors import InfeasibleError, LimitReached
from hexplan.spec import Spec
from hexplan_solver.bounds.pattern_bound import pattern_bound
from hexplan_solver.bounds.work_bound import coordinator_bound, work_bound
from hexplan_solver.budget import Budget
from hexplan_solver.flow.evaluate import better_of
from hexplan_solver.infeasible import refuse_if_infeasible
from hexplan_solver.links.fit import fit_links
from hexplan_solver.milp import MilpStatus
from hexplan_solver.options import Report, SolveOptions, be_silent
from hexplan_solver.plans.draft import Draft
from hexplan_solver.problem.problem import Problem, build_problem
from hexplan_solver.problem.zones import link_limits
from hexplan_solver.run import Run
from hexplan_solver.start.link_free import LinkFreePlacement, better_placement, first_placement

START_SHARE, BOUND_SHARE, MILP_SHARE = 0.6, 0.2, 0.4
"""Shares of the time left for the first placement, the bound, and the MILP; links get the rest."""
TRUNKED, ZONED = 0.4, 0.12
"""Where sites share lines, and where those carry little, these shares are cut to so much: fitting
the links needs the time."""


def draft_throughput(spec: Spec, options: SolveOptions, report: Report = be_silent) -> Draft:
    """Find a plan of large flow, and prove how much larger the flow of any plan could be.

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
    run.lower(work_bound(problem), "work bound: exact arithmetic over all layer counts")
    run.lower(coordinator_bound(problem), "door bound: what the coordinator's network card passes")
    limits = link_limits(problem, run.bound)
    part = (ZONED if limits.is_zoned else TRUNKED) if limits.has_trunks else 1.0
    start, incumbent = _best_by_kind(run, problem, part)
    found = fit_links(run, problem, incumbent, [start])
    if limits.has_trunks and found.value >= incumbent.value and not run.is_proved(found.value):
        # The trunks do not bind, so the time kept for them is left.
        again = first_placement(problem, run.options, run.left_s * START_SHARE)
        if again.value > found.value:
            found = better_of(found, fit_links(run, problem, again, []))
    return Draft(found, run.proof(found.value))


def _best_by_kind(
    run: Run, problem: Problem, part: float
) -> tuple[LinkFreePlacement, LinkFreePlacement]:
    """Find a first and the best placement, links ignored, and lower the bound on the way.

    Parameters
    ----------
    part
        Share of the usual time that it may take.
    """
    options = run.options
    start = first_placement(problem, options, run.left_s * START_SHARE * part)
    run.tell("start", start.value / MICRO)
    budget = Budget(run.left_s * BOUND_SHARE * part, run.bound, start.value)
    proved = pattern_bound(problem, budget)
    run.lower(proved, "pattern bound: LP duals, each priced against every pattern of a layer")
    budget = Budget(run.left_s * MILP_SHARE * part, run.bound, watch=run.watcher("layers"))
    incumbent = better_placement(problem, start, options, budget)
    run.tighten(incumbent.bound, incumbent.value)
    run.status = incumbent.status
    if incumbent.value == 0:
        _refuse(run, problem, start)
    run.tell("placed", incumbent.value / MICRO)
    return start, incumbent


def _refuse(run: Run, problem: Problem, start: LinkFreePlacement) -> NoReturn:
    """Raise for want of a placement; call it infeasible only on a second opinion."""
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
