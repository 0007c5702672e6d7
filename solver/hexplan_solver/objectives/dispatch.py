"""The door for every objective: solve, explain a refusal, and state what the plan costs."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hexplan.errors import InfeasibleError, InputError, LimitReached
from hexplan.plan import Objective, Plan
from hexplan.spec import Spec
from hexplan_solver.infeasible import explain_infeasible
from hexplan_solver.objectives.cost.recipe import solve_cost
from hexplan_solver.objectives.idle import cost_of
from hexplan_solver.objectives.joined import Recipe, best_joined
from hexplan_solver.objectives.latency.recipe import solve_latency
from hexplan_solver.objectives.slo import solve_slo
from hexplan_solver.objectives.sustained.figures import with_sustained
from hexplan_solver.objectives.sustained.recipe import solve_sustained
from hexplan_solver.objectives.throughput import try_solve
from hexplan_solver.options import Report, SolveOptions, be_silent

RECIPES: Mapping[Objective, Recipe] = MappingProxyType(
    {
        "throughput": try_solve,
        "sustained": solve_sustained,
        "latency": solve_latency,
        "slo": solve_slo,
        "cost": solve_cost,
    }
)
"""How to plan for each objective."""


def solve_for(spec: Spec, options: SolveOptions | None = None, report: Report = be_silent) -> Plan:
    """Find a plan for the objective that the spec names.

    Raises
    ------
    InfeasibleError
        If it is proved that no plan exists, with a reason in which nothing is idle.
    LimitReached
        If the time was up before one was found.
    InputError
        If the objective is not supported, or the solver that `options` names is not there.
    """
    if spec.objective not in RECIPES:
        message = f"the objective `{spec.objective}` is not supported yet"
        raise InputError(message, hint=f"these are: {', '.join(RECIPES)}")
    try:
        if spec.cluster.limits.join:
            return best_joined(_planned, spec, options or SolveOptions(), report)
        return _planned(spec, options, report)
    except InfeasibleError as error:
        raise (explain_infeasible(spec, options) or error) from None
    except LimitReached as error:
        # Of joined hosts the explanation knows nothing: with them there may be a plan.
        reason = None if spec.cluster.limits.join else explain_infeasible(spec, options)
        raise (reason or error) from None


def _planned(spec: Spec, options: SolveOptions | None, report: Report) -> Plan:
    """Find a plan with the hosts as they are; where it fails, spend no time on why that is."""
    plan = RECIPES[spec.objective](spec, options, report)
    predicted = plan.predicted.model_copy(update={"cost_usd_per_h": cost_of(plan)})
    plan = plan.model_copy(update={"predicted": predicted, "objective": spec.objective})
    return with_sustained(plan)
