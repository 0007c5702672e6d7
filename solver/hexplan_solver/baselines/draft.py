"""Drafts from the placements of published methods."""

from __future__ import annotations

from hexplan.engines import ENGINES
from hexplan.errors import InputError
from hexplan.spec import Spec
from hexplan_solver.baselines.methods import BASELINES, OWN_GROUPS
from hexplan_solver.baselines.result import give_up
from hexplan_solver.bounds.work_bound import quick_bound
from hexplan_solver.flow.evaluate import evaluate_used
from hexplan_solver.infeasible import refuse_if_infeasible
from hexplan_solver.options import Report, SolveOptions, be_silent
from hexplan_solver.plans.draft import Draft, IdleReasons
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.run import Run

FOR_FLOW = ("throughput", "balanced")
"""Objectives under which a published method may plan: it maximises the flow, and a file that names
no objective does not ask for anything else."""


def draft_baseline(spec: Spec, options: SolveOptions, report: Report = be_silent) -> Draft:
    """Plan with a published method, and bound the flow of every plan.

    The method places the layers. The routes are those of the exact max-flow on its placement. The
    bound is the work bound, which holds for every placement.

    Raises
    ------
    InputError
        If there is no such method, or the spec asks for what it does not support.
    InfeasibleError
        If it is proved that no placement exists.
    LimitReached
        If the method has no placement.
    """
    method = options.method
    _refuse_unsupported(method, spec)
    run = Run(spec, options, report)
    problem = build_problem(spec)
    refuse_if_infeasible(problem)
    run.lower(quick_bound(problem))
    result = BASELINES[method](run, problem)
    found = evaluate_used(problem, result.placement)
    if found.value == 0:
        raise give_up("no link joins the stages that it chose")
    run.status = result.status
    idle = IdleReasons(device=f"left out by the method `{method}`")
    return Draft(found, run.proof(found.value), idle=idle)


def _refuse_unsupported(method: str, spec: Spec) -> None:
    if method not in BASELINES:
        message = f"there is no method `{method}`"
        raise InputError(message, hint=f"these are: hexplan, {', '.join(BASELINES)}")
    unsupported = None
    engine = ENGINES[spec.cluster.limits.engine]
    if engine.whole_replicas:
        unsupported = f"`limits.engine`, whose {engine.title} does not run all that it places"
    elif spec.objective not in FOR_FLOW:
        unsupported = f"the objective `{spec.objective}`; it plans for throughput"
    elif spec.cluster.layer_pins:
        unsupported = "layers that are pinned to a host"
    elif spec.cluster.group_pins and method in OWN_GROUPS:
        unsupported = "devices that are pinned to one stage"
    if unsupported:
        message = f"the method `{method}` does not support {unsupported}"
        raise InputError(message, hint="leave it out of the spec, or plan with `--method hexplan`")
