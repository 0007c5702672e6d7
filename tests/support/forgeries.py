"""Forgeries: what somebody would change who wants a plan to look better, hashes made to fit."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from support.changes import change_certificate, change_plan, change_predicted
from support.mutants import resealed
from support.plan_parts import link

from hexplan.plan import Plan, Unused
from hexplan.predicted import Basis, SustainedRate

Forgery = Callable[[Plan], Plan | None]
"""Returns the forged plan, or None if the plan states nothing of the kind."""
MEASURED = "measured profile"
MOMENT = Decimal("0.000001")


def _sustained(plan: Plan, **update: object) -> Plan | None:
    rate = plan.predicted.sustained
    return rate and change_predicted(plan, sustained=rate.model_copy(update=update))


def _simulated(plan: Plan, **update: object) -> Plan | None:
    rate = plan.predicted.sustained
    if rate is None or rate.simulated is None:
        return None
    return _sustained(plan, simulated=rate.simulated.model_copy(update=update))


def served_above_the_possible(plan: Plan) -> Plan | None:
    rate, most = plan.predicted.sustained, _above(plan)
    if rate is None:
        return None
    factor = (most / rate.requests_per_s).to_integral_value() + 1
    return _sustained(
        plan,
        requests_per_s=rate.requests_per_s * factor,
        decode_tokens_per_s=rate.decode_tokens_per_s * factor,
    )


def simulated_above_the_possible(plan: Plan) -> Plan | None:
    rate = plan.predicted.sustained
    if rate is None or rate.simulated is None:
        return None
    factor = (_above(plan) / rate.simulated.requests_per_s).to_integral_value() + 1
    return _simulated(
        plan,
        requests_per_s=rate.simulated.requests_per_s * factor,
        decode_tokens_per_s=rate.simulated.decode_tokens_per_s * factor,
        requests=rate.simulated.requests * int(factor),
    )


def _above(plan: Plan) -> Decimal:
    """Return a hundred times the flow of the largest cut, in requests/s."""
    return 100 * plan.certificate.cut_tokens_per_s / plan.workload.mean_tokens


def half_the_decodes(plan: Plan) -> Plan | None:
    rate: SustainedRate | None = plan.predicted.sustained
    return rate and _sustained(plan, decode_tokens_per_s=rate.decode_tokens_per_s / 2)


def simulated_in_no_time(plan: Plan) -> Plan | None:
    return _simulated(plan, ttft_s=MOMENT)


def simulated_without_steps(plan: Plan) -> Plan | None:
    return _simulated(plan, tpot_s=MOMENT)


def first_token_at_once(plan: Plan) -> Plan | None:
    return None if plan.predicted.ttft_s is None else change_predicted(plan, ttft_s=MOMENT)


def tokens_at_once(plan: Plan) -> Plan | None:
    return None if plan.predicted.tpot_s is None else change_predicted(plan, tpot_s=MOMENT)


def promise_at_a_hundred_times_the_rate(plan: Plan) -> Plan | None:
    rate, run = plan.predicted.slo_requests_per_s, plan.predicted.run
    if rate is None or run is None:
        return None
    run = run.model_copy(update={"requests_per_s": 100 * rate})
    return change_predicted(plan, slo_requests_per_s=100 * rate, run=run)


def promise_that_nobody_made(plan: Plan) -> Plan | None:
    if plan.workload.slo is not None:
        return None
    return change_predicted(plan, slo_requests_per_s=plan.predicted.requests_per_s)


def promise_kept_by_too_few(plan: Plan) -> Plan | None:
    run = plan.predicted.run
    if run is None or plan.workload.slo is None:
        return None
    slo = plan.workload.slo.model_copy(update={"attainment": Decimal(1)})
    run = run.model_copy(update={"attainment": Decimal("0.5")})
    changed = change_plan(plan, workload=plan.workload.model_copy(update={"slo": slo}))
    return change_predicted(changed, run=run)


def times_that_rest_on_measurements(plan: Plan) -> Plan | None:
    if plan.predicted.latency_basis is None:
        return None
    return change_predicted(plan, latency_basis="measured on this cluster")


def origins_called_measured(plan: Plan) -> Plan | None:
    if all(stage.speed_origin == MEASURED for stage in plan.stages):
        return None
    stages = tuple(stage.model_copy(update={"speed_origin": MEASURED}) for stage in plan.stages)
    shares: dict[str, Decimal] = {}
    for basis in plan.predicted.rests_on:
        origin = basis.origin if basis.origin == "links" else MEASURED
        shares[origin] = shares.get(origin, Decimal(0)) + basis.share
    bases = tuple(Basis(origin=origin, share=share) for origin, share in shares.items())
    return change_predicted(change_plan(plan, stages=stages), rests_on=bases)


def surer_speeds(plan: Plan) -> Plan | None:
    stages = tuple(
        stage.model_copy(update={"speed_error": stage.speed_error / 2}) for stage in plan.stages
    )
    return change_plan(plan, stages=stages)


def wider_band(plan: Plan) -> Plan | None:
    return change_predicted(plan, most_tokens_per_s=2 * plan.predicted.most_tokens_per_s)


def context_of_one(plan: Plan) -> Plan | None:
    return change_plan(plan, model=plan.model.model_copy(update={"max_context": 1}))


def another_family(plan: Plan) -> Plan | None:
    family = "qwen3_moe" if plan.model.experts is None else "llama"
    return change_plan(plan, model=plan.model.model_copy(update={"family": family}))


def another_model_by_name(plan: Plan) -> Plan | None:
    model = plan.model.model_copy(update={"name": "llama-3.1-8b", "path": None})
    return change_plan(plan, model=model.model_copy(update={"config_sha256": None}))


def proved_cost(plan: Plan) -> Plan | None:
    cost = plan.predicted.cost_usd_per_h
    return change_certificate(
        plan,
        cost_bound_usd_per_h=cost if cost is not None else Decimal(1),
        cost_gap=Decimal(0),
        cost_proof="work bound: exact arithmetic",
    )


def lower_cost(plan: Plan) -> Plan | None:
    cost = plan.predicted.cost_usd_per_h
    return None if not cost else change_predicted(plan, cost_usd_per_h=cost / 2)


def link_from_nowhere(plan: Plan) -> Plan | None:
    links = (*plan.cluster.links, link("nowhere", plan.cluster.hosts[0].site))
    return _in_cluster(plan, links=links)


def unused_device_of_no_type(plan: Plan) -> Plan | None:
    first = plan.cluster.hosts[0].model_copy(
        update={"name": "spare", "devices": ("H900",), "interconnect": None, "parts": ()}
    )
    changed = _in_cluster(plan, hosts=(*plan.cluster.hosts, first))
    unused = (*plan.unused, Unused(host="spare", device=0, reason="not needed"))
    return change_plan(changed, unused=unused)


def idle_device_twice(plan: Plan) -> Plan | None:
    return change_plan(plan, unused=(*plan.unused, *plan.unused[:1])) if plan.unused else None


def used_device_called_idle(plan: Plan) -> Plan | None:
    stage = plan.stages[0]
    unused = Unused(host=stage.host, device=stage.devices[0], reason="not needed")
    return change_plan(plan, unused=(*plan.unused, unused))


def datasheet_with_more_memory(plan: Plan) -> Plan | None:
    kinds = plan.cluster.device_types
    listed = [kind for kind in kinds if kind.origin.startswith("datasheet")]
    if not listed:
        return None
    larger = {
        kind.name: kind.model_copy(update={"memory_bytes": 2 * kind.memory_bytes})
        for kind in listed
    }
    return _in_cluster(plan, device_types=tuple(larger.get(kind.name, kind) for kind in kinds))


def _in_cluster(plan: Plan, **update: object) -> Plan:
    return resealed(change_plan(plan, cluster=plan.cluster.model_copy(update=update)))


FORGERIES: dict[str, Forgery] = {
    forgery.__name__.replace("_", " "): forgery
    for forgery in (
        served_above_the_possible,
        simulated_above_the_possible,
        half_the_decodes,
        simulated_in_no_time,
        simulated_without_steps,
        first_token_at_once,
        tokens_at_once,
        promise_at_a_hundred_times_the_rate,
        promise_that_nobody_made,
        promise_kept_by_too_few,
        times_that_rest_on_measurements,
        origins_called_measured,
        surer_speeds,
        wider_band,
        context_of_one,
        another_family,
        another_model_by_name,
        proved_cost,
        lower_cost,
        link_from_nowhere,
        unused_device_of_no_type,
        idle_device_twice,
        used_device_called_idle,
        datasheet_with_more_memory,
    )
}
"""By name; every plan states something that most of them can forge."""
