"""What the hosts in use cost, and which of them a plan can do without."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from hexplan.plan import Plan
from hexplan.spec import Spec
from hexplan_solver.flow.flow import max_flow
from hexplan_solver.flow.network import PlacedStage, build_network
from hexplan_solver.plans.extract import extract_plan
from hexplan_solver.plans.read_back import read_back
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.run import Run


def cost_of(plan: Plan) -> Decimal | None:
    """Return what the hosts in use cost for an hour, where all of them have a price."""
    used = dict.fromkeys(stage.host for stage in plan.stages)
    rents = [plan.cluster.host_by_name[name].rent_usd_per_h for name in used]
    known = [rent for rent in rents if rent is not None]
    return sum(known, Decimal(0)) if len(known) == len(rents) else None


def without_idle(spec: Spec, plan: Plan, needed: int, run: Run) -> Plan:
    """Drop hosts, dearest first, as long as the stages of the others carry the flow."""
    problem = build_problem(spec)
    back = read_back(problem, plan.stages)
    pinned = {pin.host for pin in spec.cluster.layer_pins}
    used = dict.fromkeys(stage.host for stage in plan.stages)
    hosts = plan.cluster.host_by_name
    dearest = sorted(used, key=lambda name: -(hosts[name].rent_usd_per_h or Decimal(0)))
    kept: Sequence[PlacedStage] = back.stages
    for name in dearest:
        fewer = [stage for stage in kept if stage.host != name]
        if name in pinned or not fewer or not hosts[name].rent_usd_per_h:
            continue
        if max_flow(build_network(problem.spec, fewer)).value >= needed:
            kept = fewer
    if len(kept) == len(back.stages):
        return plan
    network = build_network(back.problem.spec, kept)
    flow = max_flow(network)
    return extract_plan(back.problem, network, flow, run.proof(flow.value), plan.solve)
