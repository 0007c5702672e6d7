"""Loops: how long the decodes of each route take, by the plan's own cost model."""

from __future__ import annotations

from collections.abc import Callable

from hexplan.cluster import COORDINATOR
from hexplan.cost import StageShape
from hexplan.cost.links import token_bytes
from hexplan.cost.stage_step_times import stage_step_times
from hexplan.plan import Plan, Route, Stage
from hexplan.schedule.micro_batches import Loop, Move, Visit
from hexplan.spec import Spec


def loops_of(plan: Plan) -> tuple[Loop, ...]:
    """Return the loop of each route, by which its decodes are divided into micro-batches."""
    stages = {stage.id: stage for stage in plan.stages}
    return tuple(_loop(plan, stages, route) for route in plan.routes)


def _loop(plan: Plan, stages: dict[str, Stage], route: Route) -> Loop:
    passed = [stages[hop.stage] for hop in route.hops]
    enters = [hop.enter_layer for hop in route.hops]
    hosts = [COORDINATOR, *(stage.host for stage in passed), COORDINATOR]
    visits = [
        Visit(_step_s(plan, stage, enter), _share(plan, stage, route))
        for stage, enter in zip(passed, enters, strict=True)
    ]
    return Loop(visits, [_move(plan, *ends) for ends in zip(hosts, hosts[1:], strict=False)])


def _share(plan: Plan, stage: Stage, route: Route) -> float:
    """Return the part of a stage's requests that take a route; all where none is planned to."""
    through = sum(
        other.weight for other in plan.routes if any(hop.stage == stage.id for hop in other.hops)
    )
    return float(route.weight / through) if route.weight else 1.0


def _step_s(plan: Plan, stage: Stage, enter_layer: int) -> Callable[[int], float]:
    shape = StageShape.of(plan, stage)
    steps = stage_step_times(Spec(plan.cluster, plan.model, plan.workload), shape)
    num_layers = stage.layers[1] - enter_layer
    ends_model = stage.layers[1] == plan.model.layers
    context = plan.workload.mean_context_tokens

    def step_s(decodes: int) -> float:
        layers_s = num_layers * steps.layer_s(0, 0, decodes, decodes * context)
        return layers_s + (steps.head_s(decodes) if ends_model else 0.0)

    return step_s


def _move(plan: Plan, source: str, target: str) -> Move:
    cluster = plan.cluster
    way = cluster.host_by_name[source].interconnect if source == target else None
    link = way or cluster.link(source, target)
    if link is None:  # only in plans made by hand, which the check would refuse
        return Move(0.0, 0.0)
    return Move(
        float(link.latency_s),
        token_bytes(plan.model, source, target) / float(link.bandwidth_bytes_per_s),
    )
