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
from hexplan.errors import SpecError
from hexplan.plan import Plan
from hexplan.reading import parse_spec
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, solve
from hexplan_solver.repeat import repeat
from hexplan_solver.techniques.candidates import CANDIDATES
from hexplan_solver.techniques.offloading import keeps_balance

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
    with pytest.raises(SpecError, match="needs `host_memory`"):
        plan_of(LONG, "{kv_offload: auto}")


@pytest.mark.slow
def test_it_is_chosen_where_requests_end_sooner_and_says_so() -> None:
    plan = plan_of(LONG, "{kv_offload: auto, host_memory: 128GB}")
    (chosen,) = plan.techniques
    assert chosen.technique == "kv_offload"
    assert (chosen.value == "on") == (plan.stages[0].kv_offload is not None)
    assert chosen.gain is not None
    assert check_plan(plan, repeat(plan)) == ()


@given(
    st.integers(0, 500),
    st.integers(0, 3000),
    st.integers(0, 64),
    st.integers(1, 20_000),
)
def test_a_step_takes_no_less_than_its_fetches_and_than_computing_on_what_it_fetches(
    prompt: int, before: int, decode: int, context: int
) -> None:
    plan = plan_of(LONG, on())
    spec, shape = Spec(plan.cluster, plan.model, plan.workload), StageShape.of(plan, plan.stages[0])
    fetches = FetchTimes.of(plan.model, shape)
    assert fetches is not None
    steps = stage_step_times(spec, shape)
    plain_shape = replace(shape, sharing=replace(shape.sharing, kv_offload=None))
    plain = stage_step_times(spec, plain_shape)
    reach, seen = prompt * (before + prompt / 2), decode * context
    found_s = steps.layer_s(prompt, reach, decode, seen)
    link_s = 2 * 8 * 128 * 2 / 25e9
    again_s = (before if prompt else 0) * link_s
    resident_s = plain.layer_s(prompt, reach, decode, seen)
    computing_s = plain.layer_s(prompt, reach, decode, 0.1 * seen)
    least_s = 2 * resident_s + 30 * (max(computing_s, 0.1 * seen * link_s) + again_s)
    most_s = least_s + 30 * (0.2 * plain.layer_s(0, 0.0, decode, 0.0) + seen * 512 / 100e9)
    assert least_s * (1 - 1e-9) <= 32 * found_s <= most_s * (1 + 1e-9)


def test_a_technique_that_makes_requests_wait_longer_than_allowed_is_left() -> None:
    plan = plan_of(LONG, "{}")
    assert keeps_balance(plan)
    assert CANDIDATES["kv_offload"](plan) == plan
