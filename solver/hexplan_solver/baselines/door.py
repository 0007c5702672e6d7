"""The door to the baselines: one way from a method's placement to a plan."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hexplan.errors import InputError
from hexplan.plan import Plan, Unused
from hexplan.spec import Spec
from hexplan_solver.baselines.helix_milp import place_helix
from hexplan_solver.baselines.hexgen import place_hexgen
from hexplan_solver.baselines.layout import Recipe, give_up
from hexplan_solver.baselines.petals import place_petals
from hexplan_solver.baselines.ram import place_ram
from hexplan_solver.baselines.separate import place_separate
from hexplan_solver.baselines.swarm import place_swarm
from hexplan_solver.baselines.symmetric import place_symmetric
from hexplan_solver.baselines.tflops import place_tflops
from hexplan_solver.bounds.work_bound import work_bound
from hexplan_solver.flow.carried import used_part
from hexplan_solver.infeasible import refuse_if_infeasible
from hexplan_solver.objectives.idle import cost_of
from hexplan_solver.options import Report, SolveOptions, be_silent
from hexplan_solver.plans.extract import extract_plan
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.run import Run

BASELINES: Mapping[str, Recipe] = MappingProxyType(
    {
        "helix-milp": place_helix,
        "petals": place_petals,
        "swarm": place_swarm,
        "separate": place_separate,
        "ram": place_ram,
        "tflops": place_tflops,
        "hexgen": place_hexgen,
        "symmetric": place_symmetric,
    }
)
"""How each published method places the layers (docs/baselines.md)."""

OWN_GROUPS = frozenset({"hexgen", "symmetric"})
"""Methods that choose tensor-parallel groups themselves."""


def solve_baseline(
    method: str, spec: Spec, options: SolveOptions | None = None, report: Report = be_silent
) -> Plan:
    """Plan as a published method would, and bound what any plan could reach.

    The method places the layers; routes are the exact max-flow on its placement, and the bound is
    the work bound, which holds for every placement of every method.

    Raises
    ------
    InputError
        If there is no such method, or the spec asks for what it does not know.
    InfeasibleError
        If it is proved that no placement exists.
    LimitReached
        If the method has no placement.
    """
    _refuse_unknown(method, spec)
    run = Run(spec, options or SolveOptions(), report)
    problem = build_problem(spec)
    refuse_if_infeasible(problem)
    run.lower(work_bound(problem), "work bound: exact arithmetic over all layer counts")
    layout = BASELINES[method](run, problem)
    network, flow = used_part(problem, layout.stages)
    if flow.value == 0:
        raise give_up("no link joins the stages that it chose")
    run.status = layout.status
    info = run.info().model_copy(update={"method": method})
    plan = extract_plan(problem, network, flow, run.proof(flow.value), info)
    predicted = plan.predicted.model_copy(update={"cost_usd_per_h": cost_of(plan)})
    unused = _unused(method, plan)
    return plan.model_copy(update={"unused": unused, "predicted": predicted})


def _refuse_unknown(method: str, spec: Spec) -> None:
    if method not in BASELINES:
        message = f"there is no method `{method}`"
        raise InputError(message, hint=f"these are: hexplan, {', '.join(BASELINES)}")
    unknown = None
    if spec.objective != "throughput":
        unknown = f"the objective `{spec.objective}`; it plans for throughput"
    elif spec.cluster.layer_pins:
        unknown = "layers that are pinned to a host"
    elif spec.cluster.group_pins and method in OWN_GROUPS:
        unknown = "devices that are pinned to one stage"
    if unknown:
        message = f"the method `{method}` does not know {unknown}"
        raise InputError(message, hint="leave it out of the spec, or plan with `--method hexplan`")


def _unused(method: str, plan: Plan) -> tuple[Unused, ...]:
    """Say who left a device out: the search that did not find a use for it was the method's."""
    return tuple(
        unused
        if plan.cluster.is_excluded(unused.host, unused.device)
        else unused.model_copy(update={"reason": f"left out by the method `{method}`"})
        for unused in plan.unused
    )
