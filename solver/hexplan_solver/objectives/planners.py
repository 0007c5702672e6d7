"""Which planner serves which objective."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hexplan.errors import InputError
from hexplan.plan import Objective
from hexplan.spec import Spec
from hexplan_solver.objectives.balanced.objective import draft_balanced
from hexplan_solver.objectives.cost.search import draft_cost
from hexplan_solver.objectives.joined import Planner, best_joined
from hexplan_solver.objectives.latency.search import draft_latency
from hexplan_solver.objectives.slo.objective import draft_slo
from hexplan_solver.objectives.sustained.objective import draft_sustained
from hexplan_solver.objectives.throughput import draft_throughput
from hexplan_solver.options import Report, SolveOptions
from hexplan_solver.plans.draft import Draft

PLANNERS: Mapping[Objective, Planner] = MappingProxyType(
    {
        "balanced": draft_balanced,
        "throughput": draft_throughput,
        "sustained": draft_sustained,
        "latency": draft_latency,
        "slo": draft_slo,
        "cost": draft_cost,
    }
)

ROBUST: tuple[Objective, ...] = ("throughput", "balanced")
"""Objectives under which `SolveOptions.is_robust` can be asked for."""


def draft_objective(spec: Spec, options: SolveOptions, report: Report) -> Draft:
    """Return the best draft for the objective that the spec names, with hosts joined if allowed.

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
    if options.is_robust and spec.objective not in ROBUST:
        message = f"the objective `{spec.objective}` has no robust choice"
        raise InputError(message, hint=f"leave `--robust` out; these have: {', '.join(ROBUST)}")
    planner = PLANNERS[spec.objective]
    if spec.cluster.limits.join:
        return best_joined(planner, spec, options, report)
    return planner(spec, options, report)
