"""Loops: how long the decodes of each route take, by the plan's own cost model."""

from __future__ import annotations

from collections.abc import Callable

from hexplan.cluster import COORDINATOR
from hexplan.constants import TOKEN_ID_BYTES
from hexplan.cost import StageShape
from hexplan.cost.links import token_bytes
from hexplan.cost.stage_step_times import stage_step_times
from hexplan.plan import Plan, Route, Stage
from hexplan.schedule.micro_batches import Loop, Move, Visit
from hexplan.spec import Spec


def loops_of(plan: Plan) -> tuple[Loop, ...]:
    """Return the loop of each route by way of the coordinator, as prompts go."""
    return tuple(
        Loop(_visits(plan, route), _moves(plan, [COORDINATOR, *_hosts(plan, route), COORDINATOR]))
        for route in plan.routes
    )


def decode_loop(plan: Plan, route: int) -> Loop:
    """Return the loop of decodes whose tokens go from the last stage straight to the first."""
    hosts = _hosts(plan, plan.routes[route])
    moves = _moves(plan, hosts)
    if len(hosts) > 1:
        moves.append(_move(plan, hosts[-1], hosts[0], TOKEN_ID_BYTES))
    return Loop(_visits(plan, plan.routes[route]), moves)


def _hosts(plan: Plan, route: Route) -> list[str]:
    stages = {stage.id: stage for stage in plan.stages}
    return [stages[hop.stage].host for hop in route.hops]


def _visits(plan: Plan, route: Route) -> list[Visit]:
    stages = {stage.id: stage for stage in plan.stages}
    return [
        Visit(
            _step_s(plan, stages[hop.stage], hop.enter_layer),
            _share(plan, stages[hop.stage], route),
        )
        for hop in route.hops
    ]


def _moves(plan: Plan, hosts: list[str]) -> list[Move]:
    pairs = zip(hosts, hosts[1:], strict=False)
    return [_move(plan, *pair, token_bytes(plan.cluster, plan.model, *pair)) for pair in pairs]


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
        head_s = steps.head_s(decodes) if ends_model else 0.0
        return layers_s + head_s + steps.step_s(decodes)

    return step_s


def _move(plan: Plan, source: str, target: str, num_bytes: int) -> Move:
    cluster = plan.cluster
    way = cluster.host_by_name[source].interconnect if source == target else None
    link = way or cluster.link(source, target)
    if link is None:  # only in plans made by hand, which the check would refuse
        return Move(0.0, 0.0)
    return Move(
        float(link.latency_s),
        num_bytes / float(link.bandwidth_bytes_per_s),
    )
