"""What an engine costs: the flow that a plan for any engine has, and what this one lacks of it."""

from __future__ import annotations

from dataclasses import replace

from hexplan.constants import MICRO
from hexplan.engines import ENGINES, misfits
from hexplan.errors import InfeasibleError, LimitReached
from hexplan.plan import Plan
from hexplan.results.explanation import EngineCost
from hexplan.spec import Spec
from hexplan_solver.objectives.throughput import draft_throughput
from hexplan_solver.options import SolveOptions, be_silent
from hexplan_solver.plans.draft import Draft
from hexplan_solver.plans.predicted import rate
from hexplan_solver.plans.write import write_plan
from hexplan_solver.run import Run


def engine_cost(plan: Plan, spec: Spec, search: SolveOptions) -> EngineCost | None:
    """Search the largest flow with and without the engine; None if the engine runs every plan.

    Both searches get the same time, and the plan's own flow counts for both.
    """
    engine = ENGINES[spec.cluster.limits.engine]
    if not engine.whole_replicas:
        return None
    limits = spec.cluster.limits.model_copy(update={"engine": "hexplan"})
    free_spec = replace(spec, cluster=spec.cluster.model_copy(update={"limits": limits}))
    own = int(plan.certificate.flow_tokens_per_s * MICRO)
    kept, free = _searched(spec, search), _searched(free_spec, search)
    most = max(own, kept.value if kept is not None else 0)
    obstacles: tuple[str, ...] = ()
    if free is not None and free.value > most:
        unlimited = write_plan(free, Run(free_spec, search, be_silent).info())
        found = misfits(unlimited, engine)
        obstacles = tuple(f"{misfit.where}: {misfit.sentence}" for misfit in found)
    return EngineCost(
        engine=engine.title,
        flow_tokens_per_s=rate(most),
        free_tokens_per_s=rate(max(most, free.value if free is not None else 0)),
        obstacles=obstacles,
    )


def _searched(spec: Spec, search: SolveOptions) -> Draft | None:
    try:
        return draft_throughput(replace(spec, objective="throughput"), search)
    except (InfeasibleError, LimitReached):
        return None
