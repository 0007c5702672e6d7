"""A finished plan with one technique switched on: each has a function here.

A new technique needs its switch in `hexplan.techniques.Techniques`, and a line in `CANDIDATES`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final, Literal

from hexplan.cost import StageShape
from hexplan.cost.interleaving import find_interleave
from hexplan.cost.offloading import HostMemory, find_kv_offload
from hexplan.cost.stage_step_times import stage_step_times
from hexplan.plan import Plan, Stage
from hexplan.techniques import Chosen
from hexplan_solver.simulate import spec_of

Name = Literal["interleave", "kv_offload", "queue"]


def stating(plan: Plan, chosen: Chosen) -> Plan:
    """Return the plan with what came of a technique, in the place of what it said of it."""
    others = [one for one in plan.techniques if one.technique != chosen.technique]
    return plan.model_copy(update={"techniques": (*others, chosen)})


def interleaved(plan: Plan) -> Plan:
    """Return the plan with every stage interleaving that gains by it for some size of a step."""

    def changed(stage: Stage) -> Stage:
        slowdown = plan.cluster.techniques.slowdown
        how = find_interleave(plan.model, StageShape.of(plan, stage), slowdown)
        return stage.model_copy(update={"interleave": how})

    return plan.model_copy(update={"stages": tuple(map(changed, plan.stages))})


def queued(plan: Plan) -> Plan:
    """Return the plan with the queue that needs to know nothing of requests in advance."""
    return stating(plan, Chosen(technique="queue", value="mlfq", tried="mlfq"))


def offloaded(plan: Plan) -> Plan:
    """Return the plan with every stage using host memory that gets more out by it.

    Stages of one host share its memory out equally. Rows that enter inside a stage have nothing
    that foresees what they need, so such a stage is left as it is.
    """
    asked, spec = plan.cluster.techniques, spec_of(plan)
    if plan.is_split or asked.host_memory_bytes is None:
        return plan
    begins = {stage.id: stage.layers[0] for stage in plan.stages}
    hops = [hop for route in plan.routes for hop in route.hops]
    inside = {hop.stage for hop in hops if hop.enter_layer != begins[hop.stage]}
    on_host = Counter(stage.host for stage in plan.stages)

    def changed(stage: Stage) -> Stage:
        if stage.id in inside or asked.host_memory_bytes is None:
            return stage
        host = HostMemory(
            asked.host_memory_bytes // on_host[stage.host],
            asked.host_link_bytes_per_s,
            asked.kv_fraction,
        )
        shape = StageShape.of(plan, stage)
        how = find_kv_offload(spec, shape, stage_step_times(spec, shape), host)
        return stage.model_copy(update={"kv_offload": how})

    return plan.model_copy(update={"stages": tuple(map(changed, plan.stages))})


CANDIDATES: Final[dict[Name, Callable[[Plan], Plan]]] = {
    "interleave": interleaved,
    "kv_offload": offloaded,
    "queue": queued,
}
"""In the order in which they are judged, each with what was chosen before."""
