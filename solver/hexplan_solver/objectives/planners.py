"""Which planner serves which objective."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from hexplan.errors import InputError
from hexplan.plan import Objective
from hexplan.spec import Spec
from hexplan_solver.objectives.cost.search import draft_cost
from hexplan_solver.objectives.joined import Planner, best_joined
from hexplan_solver.objectives.latency.search import draft_latency
from hexplan_solver.objectives.slo import draft_slo
from hexplan_solver.objectives.sustained.figures import with_sustained
from hexplan_solver.objectives.sustained.objective import draft_sustained
from hexplan_solver.objectives.throughput import draft_throughput
from hexplan_solver.options import Report, SolveOptions
from hexplan_solver.plans.draft import Draft

PLANNERS: Mapping[Objective, Planner] = MappingProxyType(
    {
        "throughput": draft_throughput,
        "sustained": draft_sustained,
        "latency": draft_latency,
        "slo": draft_slo,
        "cost": draft_cost,
    }
)


def draft_objective(spec: Spec, options: SolveOptions, report: Report) -> Draft:
    """Return the best draft for the objective that the spec names, hosts joined where allowed.

    Raises
    ------
    InfeasibleError
        If it is proved that no plan exists.
    LimitReached
        If the time was up before one was found.
    InputError
        If the objective is not supported, or the solver that `options` names is not installed.
    """
    if spec.objective not in PLANNERS:
        message = f"the objective `{spec.objective}` is not supported yet"
        raise InputError(message, hint=f"these are: {', '.join(PLANNERS)}")
    if spec.cluster.limits.join:
        return best_joined(_with_figures, spec, options, report)
    return _with_figures(spec, options, report)


def _with_figures(spec: Spec, options: SolveOptions, report: Report) -> Draft:
    draft = PLANNERS[spec.objective](spec, options, report)
    return with_sustained(replace(draft, objective=spec.objective))
