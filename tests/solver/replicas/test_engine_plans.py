"""Plans for engines keep every rule, those of the engine among them, under every objective."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from support.clusters import device_type, host, link, spec_of, tiny_model
from support.engine_specs import for_engine
from support.growing import growing
from support.made_plans import spec_for

from hexplan.check import check_plan
from hexplan.cluster import EngineName, GroupPin, LayerPin
from hexplan.engines import ENGINES, SGLANG, VLLM, misfits
from hexplan.errors import InfeasibleError, InputError, LimitReached
from hexplan.model import WeightFormat
from hexplan.plan import Plan
from hexplan.render import explanation_text, plan_text
from hexplan.workload import Objective
from hexplan_solver import SolveOptions, explain, solve
from hexplan_solver.explain.engine_cost import engine_cost
from hexplan_solver.replan import Loss, replan

QUICK = SolveOptions(time_limit_s=2)
LIMITED: tuple[EngineName, ...] = ("vllm", "sglang", "llamacpp")
SLOW: tuple[Objective, ...] = ("balanced", "sustained", "slo")
OBJECTIVES = (
    *("throughput", "latency", "cost"),
    *(pytest.param(objective, marks=pytest.mark.slow) for objective in SLOW),
)


def faults(plan: Plan) -> list[str]:
    return [str(violation) for violation in check_plan(plan)]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_plan_for_any_objective_keeps_to_its_engine(objective: Objective) -> None:
    spec = spec_for("laptop", "throughput" if objective == "balanced" else objective)
    plan = solve(replace(for_engine(spec, "vllm"), objective=objective), QUICK)
    assert plan.objective == objective
    assert faults(plan) == []
    assert misfits(plan, VLLM) == ()
    assert "keeps to what vLLM runs" in plan_text(plan)


@pytest.mark.parametrize("engine", LIMITED)
@pytest.mark.parametrize("seed", range(5))
def test_a_plan_for_a_random_cluster_keeps_to_its_engine(engine: EngineName, seed: int) -> None:
    spec = replace(growing(seed)[1], objective="throughput")
    try:
        plan = solve(for_engine(spec, engine), QUICK)
    except (InfeasibleError, LimitReached):
        pytest.skip("no replica fits")
    assert faults(plan) == []
    assert misfits(plan, ENGINES[engine]) == ()


def test_replicas_of_unlike_hosts_share_the_layers_by_their_speed() -> None:
    types = [
        device_type("fast", memory_bytes=1_300_000, speed=2 * 10**8),
        device_type("slow", memory_bytes=1_300_000, speed=10**8),
    ]
    spec = spec_of(tiny_model(9), [host("a", ["fast"]), host("b", ["slow"])], types=types)
    (route,) = (plan := solve(for_engine(spec, "vllm"), QUICK)).routes
    layers = {stage.host: stage.layers[1] - stage.layers[0] for stage in plan.stages}
    assert len(route.hops) == 2
    assert layers["a"] > layers["b"]


def test_devices_that_the_user_tied_together_form_one_stage() -> None:
    kind = device_type("d", memory_bytes=400_000, speed=10**8)
    pins = (GroupPin(host="h", devices=(1, 3)),)
    spec = spec_of(tiny_model(6), [host("h", ["d"] * 6)], types=[kind], group_pins=pins)
    plan = solve(for_engine(spec, "vllm"), QUICK)
    assert faults(plan) == []
    assert all(len({1, 3} & set(stage.devices)) in (0, 2) for stage in plan.stages)


def test_replicas_share_a_trunk_between_sites() -> None:
    kind = device_type("d", memory_bytes=700_000, speed=10**8)
    model = tiny_model(8)
    trunk = 20 * model.hidden * model.dtype_bytes
    links = [link(a, a) for a in "ab"]
    links += [link(a, b, trunk, trunk) for a, b in ("ab", "ba")]
    hosts = [host(f"{site}{i}", ["d"], site) for site in "ab" for i in range(3)]
    spec = spec_of(model, hosts, types=[kind], links=links)
    plan = solve(for_engine(spec, "vllm"), QUICK)
    assert faults(plan) == []


def test_an_engine_of_whole_replicas_never_passes_more_than_the_bound_on_every_plan() -> None:
    spec = spec_for("laptop", "throughput")
    free, kept = solve(spec, QUICK), solve(for_engine(spec, "vllm"), QUICK)
    assert kept.certificate.flow_tokens_per_s < free.certificate.flow_tokens_per_s
    assert free.certificate.flow_tokens_per_s <= kept.certificate.bound_tokens_per_s


def test_vllm_and_sglang_are_limited_alike() -> None:
    alike = {"name": "vllm", "title": "", "version": "", "source": ""}
    assert replace(VLLM, **alike) == replace(SGLANG, **alike)  # type: ignore[arg-type]


def test_an_explanation_says_what_the_engine_costs_and_where() -> None:
    spec = spec_for("laptop", "throughput")
    plan = solve(for_engine(spec, "vllm"), QUICK)
    cost = engine_cost(plan, replace(spec, cluster=plan.cluster), QUICK)
    assert cost is not None
    assert cost.engine == "vLLM"
    assert cost.flow_tokens_per_s == plan.certificate.flow_tokens_per_s
    assert cost.free_tokens_per_s == solve(spec, QUICK).certificate.flow_tokens_per_s
    assert cost.lost == 1 - cost.flow_tokens_per_s / cost.free_tokens_per_s
    assert any("routes" in obstacle for obstacle in cost.obstacles)
    told = explanation_text(explain(plan).model_copy(update={"engine": cost}))
    assert f"free plan {cost.free_tokens_per_s:,.1f} tokens/s, vLLM plan" in told
    assert "needed one, as a replica shares no stage" in " ".join(told.split())
    assert engine_cost(solve(spec, QUICK), spec, QUICK) is None


def test_what_the_search_does_not_support_is_refused() -> None:
    spec = for_engine(spec_for("laptop", "throughput"), "vllm")
    pinned = spec.cluster.model_copy(update={"layer_pins": (LayerPin(host="big", layers=(0, 6)),)})
    with pytest.raises(InputError, match="pinned to layers"):
        solve(replace(spec, cluster=pinned), QUICK)
    limits = spec.cluster.limits.model_copy(update={"parallel": ("tp", "sp")})
    shared = spec.cluster.model_copy(update={"limits": limits})
    with pytest.raises(InputError, match="needed tp alone for vLLM"):
        solve(replace(spec, cluster=shared), QUICK)
    with pytest.raises(InputError, match="vLLM does not run all that it places"):
        solve(spec, replace(QUICK, method="swarm"))
    with pytest.raises(InputError, match="replan does not keep to what vLLM runs"):
        replan(solve(spec, QUICK), Loss(spec, (), keeps_bounds=True))


def test_weights_that_an_engine_does_not_read_are_refused() -> None:
    spec = for_engine(spec_for("laptop", "throughput"), "llamacpp")
    model = spec.model.model_copy(update={"weights": WeightFormat(name="fp8")})
    with pytest.raises(InputError, match=r"llama.cpp: its weights are fp8, needed"):
        solve(replace(spec, model=model), QUICK)


def test_the_cheapest_hosts_for_an_engine_carry_the_rate() -> None:
    spec = spec_for("laptop", "cost")
    plan = solve(for_engine(spec, "vllm"), QUICK)
    rate = spec.workload.request_rate_per_s
    assert rate is not None
    needed = Decimal(repr(rate)) * spec.workload.mean_tokens
    assert plan.certificate.flow_tokens_per_s >= needed
