"""Keys and values in host memory: a finished plan whose stages use it where more comes out."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction

from hexplan.cost import StageShape
from hexplan.cost.host_room import shared_host_memory
from hexplan.cost.offloading import find_kv_offload
from hexplan.cost.stage_step_times import stage_step_times
from hexplan.plan import Plan, Stage
from hexplan.spec import Spec
from hexplan_solver.repeat import repeat
from hexplan_solver.techniques.params import OFFLOAD_PARAMS


def offloaded(plan: Plan) -> Plan:
    """Return the plan with every stage using host memory that gets more out by it.

    More requests at once wait longer for each token. Where a plan states which latencies are
    allowed or promised, stages let in as many more as keeps them, and it is as it was if none does.
    """
    for share in OFFLOAD_PARAMS.shares:
        found = _with_share(plan, share)
        if found == plan or keeps_latencies(found):
            return found
    return plan


def keeps_latencies(plan: Plan) -> bool:
    """Say whether a plan's latencies are those that are allowed or promised."""
    stated, promise = plan.predicted, plan.workload.slo
    if stated.balance is None and (stated.run is None or promise is None):
        return True
    again = repeat(plan)
    if stated.balance is not None:
        pairs = (again.ttft_s, stated.balance.ttft_s), (again.tpot_s, stated.balance.tpot_s)
        return all(own is not None and own <= most for own, most in pairs)
    before, after = (None if run is None else run.attainment for run in (stated.run, again.run))
    if before is None or promise is None:
        return True
    return after is not None and after >= min(before, promise.attainment)


def _with_share(plan: Plan, share: Fraction) -> Plan:
    """Return the plan with stages that let in a share of what host memory has room for besides.

    Stages of one host share its memory out equally, or by devices where some need it for the
    longest request; these stay as they were planned. Rows that enter inside a stage have nothing
    that foresees what they need, so such a stage is left as it is.
    """
    asked, spec = plan.cluster.techniques, Spec.of(plan)
    if plan.is_split or plan.cluster.limits.engine != "hexplan":
        return plan
    begins = {stage.id: stage.layers[0] for stage in plan.stages}
    hops = [hop for route in plan.routes for hop in route.hops]
    inside = {hop.stage for hop in hops if hop.enter_layer != begins[hop.stage]}
    on_host = Counter(stage.host for stage in plan.stages)

    def changed(stage: Stage) -> Stage:
        host = plan.cluster.host_by_name[stage.host]
        own = shared_host_memory(spec, host, stage.tp)
        needs_it = spec.counts_host_memory and stage.kv_tokens < spec.workload.max_tokens
        if stage.id in inside or needs_it or own is None:
            return stage
        if not spec.counts_host_memory:
            equal = (asked.memory_of(host) or 0) // on_host[stage.host]
            own = replace(own, num_bytes=equal)
        own = replace(own, share=share)
        shape = StageShape.of(plan, stage)
        how = find_kv_offload(spec, shape, stage_step_times(spec, shape), own)
        return stage.model_copy(update={"kv_offload": how})

    return plan.model_copy(update={"stages": tuple(map(changed, plan.stages))})
