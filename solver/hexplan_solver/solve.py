"""The entry point: from a spec to a plan, by any method, for any objective."""

from __future__ import annotations

from dataclasses import replace

from hexplan.errors import InfeasibleError, LimitReached
from hexplan.plan import Plan
from hexplan.spec import Spec
from hexplan_solver.baselines.draft import draft_baseline
from hexplan_solver.baselines.methods import BASELINES
from hexplan_solver.infeasible import explain_infeasible
from hexplan_solver.objectives.planners import draft_objective
from hexplan_solver.objectives.sustained.figures import with_sustained
from hexplan_solver.options import OWN_METHOD, Report, SolveOptions, be_silent
from hexplan_solver.plans.draft import Draft
from hexplan_solver.plans.write import write_plan
from hexplan_solver.run import Run
from hexplan_solver.techniques.choose import with_techniques
from hexplan_solver.techniques.lanes import as_chosen, better_lanes, may_gain, with_lanes
from hexplan_solver.techniques.longest import (
    counting_host_memory,
    may_count_host_memory,
    refuse_entries_inside,
    with_host_memory_told,
)
from hexplan_solver.techniques.shifting import better_shift, never_shifting, without_shift

METHODS = (OWN_METHOD, *BASELINES)
"""Names of all methods, hexplan's own search first."""


def solve(spec: Spec, options: SolveOptions | None = None, report: Report = be_silent) -> Plan:
    """Find a plan for the objective of a spec, by the method that the options name.

    Raises
    ------
    InfeasibleError
        If it is proved that no plan exists. The message names only what the proof needs.
    LimitReached
        If the time was up before a plan was found, or the method found none.
    InputError
        If there is no such method, if it does not support what the spec asks for, or if the solver
        that the options name is not installed.
    """
    options = options or SolveOptions()
    if options.is_nested:
        return _plan(spec, options, report)
    if spec.cluster.techniques.shift != "auto":
        return _best_of_lanes(spec, options, report)
    options = _with_half_the_time(spec, options)
    with_shift = _plan(spec, options, report)
    if all(stage.parallel != "shift" for stage in with_shift.stages):
        return with_techniques(without_shift(with_shift))
    options = replace(options, started_s=None)
    plain = _plan(never_shifting(spec), options, report)
    return with_techniques(better_shift(plain, with_shift))


def _best_of_lanes(spec: Spec, options: SolveOptions, report: Report) -> Plan:
    """Return the plan with its techniques, made for lanes where that is the better one.

    Raises
    ------
    InfeasibleError
        It is proved that no plan exists, whether stages interleave or not.
    LimitReached
        Neither search found a plan in time.
    """
    if not may_gain(spec):
        return with_techniques(_plan(spec, options, report))
    options = _with_half_the_time(spec, options)
    plain: Plan | None = None
    try:
        plain = with_techniques(_plan(spec, options, report))
    except (InfeasibleError, LimitReached) as error:
        failure = error
    try:
        lanes = with_techniques(_plan(with_lanes(spec), replace(options, started_s=None), report))
    except (InfeasibleError, LimitReached):
        if plain is None:
            raise failure from None
        return plain
    return as_chosen(lanes) if plain is None else better_lanes(plain, lanes)


def _with_half_the_time(spec: Spec, options: SolveOptions) -> SolveOptions:
    """Return the options of one of two searches."""
    limit_s = (options.time_limit_s or spec.cluster.limits.solve_time_s) / 2
    return replace(options, time_limit_s=limit_s)


def _plan(spec: Spec, options: SolveOptions, report: Report) -> Plan:
    """Return the plan that the method finds, with no technique but those of its stages."""
    run = Run(spec, options, report)
    draft = _draft if options.method == OWN_METHOD else draft_baseline
    found = draft(spec, options, report)
    refuse_entries_inside(found.evaluated)
    # The formula of sustained rates knows no phases.
    return write_plan(found if found.handovers else with_sustained(found), run.info())


def _draft(spec: Spec, options: SolveOptions, report: Report) -> Draft:
    """Plan with hexplan's own search; if there is no plan, explain why.

    Where devices have no room for the longest request, host memory counts if it may be used.
    """
    try:
        return draft_objective(spec, options, report)
    except InfeasibleError as error:
        if may_count_host_memory(spec):
            return _draft(counting_host_memory(spec), options, report)
        raise (_explained(spec, options) or error) from None
    except LimitReached as error:
        # The explanation does not know joined hosts, and with them there may be a plan.
        reason = None if spec.cluster.limits.join else _explained(spec, options)
        if reason is not None and may_count_host_memory(spec):
            return _draft(counting_host_memory(spec), replace(options, started_s=None), report)
        raise (reason or error) from None


def _explained(spec: Spec, options: SolveOptions) -> InfeasibleError | None:
    """Return why no plan exists, with what host memory has to do with it."""
    reason = explain_infeasible(spec, options)
    return None if reason is None else with_host_memory_told(spec, reason, options)
