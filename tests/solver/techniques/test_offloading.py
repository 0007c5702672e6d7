"""Keys and values in host memory: where plans use it, what they say of it, and what check says."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexplan.check import check_plan
from hexplan.cost import StageShape
from hexplan.cost.offloading import FetchTimes
from hexplan.cost.stage_step_times import stage_step_times
from hexplan.cost.step_times import StepTimes
from hexplan.errors import SpecError
from hexplan.joining import joined
from hexplan.plan import Plan
from hexplan.reading import parse_spec
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, solve
from hexplan_solver.repeat import repeat
from hexplan_solver.techniques.candidates import CANDIDATES
from hexplan_solver.techniques.offloading import keeps_latencies

SPEC = """
version: 1
name: long
model: {{name: llama-3.1-8b}}
workload: {{prompt_tokens: {{mean: {prompt}, max: 12000}}, output_tokens: {{mean: 300, max: 1000}}}}
hosts:
  - {{name: node, site: lab, devices: L4, nic: 100Gbps}}
coordinator: {{site: lab, nic: 100Gbps}}
links:
  - {{within: lab, bandwidth: 100Gbps, latency: 0.1ms}}
limits: {{chunk_tokens: 2048, time: 2s}}
objective: throughput
techniques: {techniques}
"""
LONG = 8000


@lru_cache
def plan_of(prompt: int, techniques: str) -> Plan:
    text = SPEC.format(prompt=prompt, techniques=techniques)
    return solve(parse_spec(text, Path("long.yaml")), SolveOptions(effort_s=5))


def on(more: str = "") -> str:
    return f"{{kv_offload: on, host_memory: 128GB{more}}}"


@pytest.mark.parametrize("prompt", [LONG, 1000])
def test_stages_use_host_memory_where_more_requests_then_run_at_once_and_check_agrees(
    prompt: int,
) -> None:
    plan = plan_of(prompt, on())
    (stage,) = plan.stages
    assert stage.kv_offload is not None
    assert stage.room_tokens == stage.kv_offload.kv_tokens > 2 * stage.kv_tokens
    assert check_plan(plan) == ()


def test_nothing_but_the_stage_and_what_rests_on_its_steps_differs_from_a_plan_without() -> None:
    plain, plan = plan_of(LONG, "{}"), plan_of(LONG, on())
    assert "offload" not in plain.model_dump_json()
    (stage,) = plan.stages
    assert stage.model_copy(update={"kv_offload": None}) == plain.stages[0]
    assert plan.certificate == plain.certificate


def test_a_slow_link_or_little_memory_is_not_used() -> None:
    for more in (", host_link: 100MB/s", ", kv_fraction: 1, host_link: 5GB/s"):
        assert plan_of(LONG, on(more)).stages[0].kv_offload is None
    little = "{kv_offload: on, host_memory: 1GB}"
    assert plan_of(LONG, little).stages[0].kv_offload is None


@pytest.mark.parametrize(
    ("update", "rule"),
    [
        ({"kv_tokens": 10**6}, "HEX411"),
        ({"kv_tokens": 100}, "HEX411"),
        ({"from_layer": 3}, "HEX228"),
        ({"fraction": Decimal("0.2")}, "HEX228"),
    ],
)
def test_check_finds_what_is_wrong(update: dict[str, object], rule: str) -> None:
    plan = plan_of(LONG, on())
    (stage,) = plan.stages
    assert stage.kv_offload is not None
    how = stage.kv_offload.model_copy(update=update)
    wrong = plan.model_copy(update={"stages": (stage.model_copy(update={"kv_offload": how}),)})
    assert rule in {found.rule for found in check_plan(wrong)}


def test_one_token_more_than_there_is_room_for_is_too_many() -> None:
    plan = plan_of(LONG, on())
    (stage,) = plan.stages
    assert stage.kv_offload is not None
    how = stage.kv_offload.model_copy(update={"kv_tokens": stage.kv_offload.kv_tokens + 1})
    wrong = plan.model_copy(update={"stages": (stage.model_copy(update={"kv_offload": how}),)})
    assert [found.rule for found in check_plan(wrong)] == ["HEX411"]


def test_host_memory_has_to_be_known() -> None:
    with pytest.raises(SpecError, match="found no `host_memory` of node"):
        plan_of(LONG, "{kv_offload: auto}")


@pytest.mark.slow
def test_it_is_chosen_where_requests_end_sooner_and_says_so() -> None:
    plan = plan_of(LONG, "{kv_offload: auto, host_memory: 128GB}")
    (chosen,) = plan.techniques
    assert chosen.technique == "kv_offload"
    assert (chosen.value == "on") == (plan.stages[0].kv_offload is not None)
    assert chosen.gain is not None
    assert check_plan(plan, repeat(plan)) == ()


@lru_cache
def both_times() -> tuple[StepTimes, StepTimes]:
    """Return the step times of a stage with host memory, and of the same stage without."""
    plan = plan_of(LONG, on())
    spec, shape = Spec(plan.cluster, plan.model, plan.workload), StageShape.of(plan, plan.stages[0])
    assert FetchTimes.of(plan.model, shape) is not None
    plain = replace(shape, sharing=replace(shape.sharing, kv_offload=None))
    return stage_step_times(spec, shape), stage_step_times(spec, plain)


@given(
    st.integers(0, 500),
    st.integers(0, 3000),
    st.integers(0, 64),
    st.integers(1, 20_000),
)
def test_a_step_takes_no_less_than_its_fetches_and_than_computing_on_what_it_fetches(
    prompt: int, before: int, decode: int, context: int
) -> None:
    steps, plain = both_times()
    reach, seen = prompt * (before + prompt / 2), decode * context
    found_s = steps.layer_s(prompt, reach, decode, seen)
    link_s = 2 * 8 * 128 * 2 / 25e9
    again_s = (before if prompt else 0) * link_s
    resident_s = plain.layer_s(prompt, reach, decode, seen)
    computing_s = plain.layer_s(prompt, reach, decode, 0.1 * seen)
    least_s = 2 * resident_s + 30 * (max(computing_s, 0.1 * seen * link_s) + again_s)
    most_s = least_s + 30 * (0.2 * plain.layer_s(0, 0.0, decode, 0.0) + seen * 512 / 100e9)
    assert least_s * (1 - 1e-9) <= 32 * found_s <= most_s * (1 + 1e-9)


def test_a_plan_without_host_memory_stays_as_it_is() -> None:
    plan = plan_of(LONG, "{}")
    assert keeps_latencies(plan)
    assert CANDIDATES["kv_offload"](plan) == plan


def test_a_balanced_plan_lets_in_only_as_many_more_as_keeps_its_latencies() -> None:
    text = SPEC.format(prompt=LONG, techniques=on()).replace("objective: throughput\n", "")
    text = text.replace("time: 2s", "time: 2s, latency_factor: 1.3")
    plan = solve(parse_spec(text, Path("long.yaml")), SolveOptions(effort_s=5))
    (stage,), all_of_it = plan.stages, plan_of(LONG, on()).stages[0].room_tokens
    assert plan.objective == "balanced"
    assert check_plan(plan, repeat(plan)) == ()
    assert stage.kv_tokens < stage.room_tokens < all_of_it


ODD = SPEC.replace(
    "  - {{name: node, site: lab, devices: L4, nic: 100Gbps}}\n",
    """  - {{name: node, site: lab, devices: L4, nic: 100Gbps{node}}}
  - {{name: odd, site: lab, devices: L4, nic: 100Gbps{odd}}}
""",
)


@lru_cache
def odd_plan_of(techniques: str, node: str, odd: str) -> Plan:
    text = ODD.format(prompt=LONG, techniques=techniques, node=node, odd=odd)
    return solve(parse_spec(text, Path("odd.yaml")), SolveOptions(effort_s=5))


def test_each_host_uses_the_memory_and_the_link_that_it_has_itself() -> None:
    techniques = "{kv_offload: on, host_memory: 32GB, host_link: 20GB/s}"
    plan = odd_plan_of(techniques, "", ", host_memory: 16GB, host_link: 24GB/s")
    assert check_plan(plan) == ()
    assert sorted(stage.host for stage in plan.stages) == ["node", "odd"]
    for stage in plan.stages:
        assert stage.kv_offload is not None
        link, memory = {"node": (20, 32), "odd": (24, 16)}[stage.host]
        assert stage.kv_offload.link_bytes_per_s == link * 10**9
        token_bytes = (stage.layers[1] - stage.kv_offload.from_layer) * 2 * 8 * 128 * 2
        assert stage.room_tokens == memory * 10**9 // token_bytes


def test_hosts_that_state_their_own_need_no_figure_for_all() -> None:
    plan = odd_plan_of("{kv_offload: on}", ", host_memory: 32GB", ", host_memory: 16GB")
    assert check_plan(plan) == ()
    assert plan.cluster.techniques.host_memory_bytes is None


def test_check_rejects_a_plan_that_overfills_one_host_only() -> None:
    plan = odd_plan_of("{kv_offload: on, host_memory: 32GB}", "", "")
    hosts = tuple(
        host.model_copy(update={"host_memory_bytes": 16 * 10**9}) if host.name == "odd" else host
        for host in plan.cluster.hosts
    )
    cluster = plan.cluster.model_copy(update={"hosts": hosts})
    update = {"cluster": cluster, "cluster_sha256": cluster.sha256}
    found = check_plan(plan.model_copy(update=update))
    assert {one.rule for one in found} == {"HEX308", "HEX411"}
    assert [one.where for one in found if one.rule == "HEX308"] == ["host odd"]


def test_a_host_without_any_figure_is_named() -> None:
    with pytest.raises(SpecError, match=r"hosts\[1\].* found no `host_memory` of odd") as caught:
        odd_plan_of("{kv_offload: auto}", ", host_memory: 16GB", "")
    assert "in `techniques` for every host" in str(caught.value.hint)


def test_specs_without_figures_of_their_own_keep_their_json() -> None:
    plan = odd_plan_of("{kv_offload: on, host_memory: 32GB}", "", "")
    assert all("host_memory" not in host.model_dump_json() for host in plan.cluster.hosts)


def test_joined_hosts_have_the_least_of_what_each_has() -> None:
    plan = odd_plan_of("{kv_offload: on, host_memory: 16GB}", "", ", host_memory: 8GB")
    spec_text = ODD.format(
        prompt=LONG,
        techniques="{kv_offload: on, host_memory: 16GB}",
        node="",
        odd=", host_memory: 8GB, host_link: 12GB/s",
    )
    cluster = joined(parse_spec(spec_text, Path("odd.yaml")).cluster, ["node", "odd"])
    (host,) = cluster.hosts
    assert plan.cluster.techniques.memory_of(host) == 8 * 10**9
    assert plan.cluster.techniques.link_of(host) == 12 * 10**9
