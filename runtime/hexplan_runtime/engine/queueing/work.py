"""Work: how long requests would take alone, by the plan's own cost model."""

from __future__ import annotations

from hexplan.cost import StageShape
from hexplan.cost.stage_step_times import stage_step_times
from hexplan.plan import Plan
from hexplan.schedule.limits import step_limits_of
from hexplan.schedule.queueing.work import Work
from hexplan.spec import Spec
from hexplan_runtime.stage.loops import loops_of


def work_of(plan: Plan) -> Work:
    """Return how long requests would take alone on the route that most of them take."""
    main = max(range(len(plan.routes)), key=lambda route: plan.routes[route].weight)
    spec, size = Spec(plan.cluster, plan.model, plan.workload), step_limits_of(plan).tokens
    stages = {stage.id: stage for stage in plan.stages}
    hops = [(stages[hop.stage], hop.enter_layer) for hop in plan.routes[main].hops]
    steps = [
        (stage.layers[1] - enter, stage_step_times(spec, StageShape.of(plan, stage)))
        for stage, enter in hops
    ]
    loop = loops_of(plan)[main]

    def pass_s(tokens: int) -> float:
        seconds = sum(move.latency_s for move in loop.moves) + steps[-1][1].head_s(1)
        for first in range(0, tokens, size):
            chunk = min(size, tokens - first)
            reach = chunk * (first + chunk / 2)
            seconds += sum(layers * times.layer_s(chunk, reach, 0, 0.0) for layers, times in steps)
            seconds += sum(chunk * move.token_s for move in loop.moves[:-1])
        return seconds

    return Work(pass_s, loop.alone_s(1))
