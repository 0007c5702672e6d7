"""Techniques in finished plans: on where asked, and where simulations show a gain."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexplan.check import check_plan
from hexplan.plan import Plan
from hexplan.reading import parse_spec
from hexplan_solver import SolveOptions, solve
from hexplan_solver.repeat import repeat
from hexplan_solver.techniques.judge import judge, verdict_of

SPEC = """
version: 1
name: four
model: {{name: llama-3.1-8b}}
workload: {{prompt_tokens: {{mean: 600, max: 2000}}, output_tokens: {{mean: 60, max: 200}}}}
hosts:
  - {{name: node, site: lab, devices: 4 x L4, nic: 100Gbps,
     interconnect: {{bandwidth: {bandwidth}, latency: 20us}}}}
coordinator: {{site: lab, nic: 100Gbps}}
links:
  - {{within: lab, bandwidth: 100Gbps, latency: 0.1ms}}
pin:
  - same_stage: [node/0, node/1, node/2, node/3]
limits: {{chunk_tokens: 2048, time: 2s}}
techniques: {techniques}
"""
FAST, SLOW = "900GB/s", "4GB/s"


@lru_cache
def plan_of(bandwidth: str, techniques: str) -> Plan:
    text = SPEC.format(bandwidth=bandwidth, techniques=techniques)
    return solve(parse_spec(text, Path("four.yaml")), SolveOptions(effort_s=10))


def values(plan: Plan) -> dict[str, str]:
    return {one.technique: one.value for one in plan.techniques}


def test_nothing_changes_in_a_plan_that_asks_for_nothing() -> None:
    plan = plan_of(SLOW, "{}")
    text = plan.model_dump_json()
    assert "interleave" not in text
    assert "techniques" not in text


def test_what_is_on_is_on_wherever_a_step_gains_and_check_agrees() -> None:
    plan = plan_of(SLOW, "{interleave: on}")
    (stage,) = plan.stages
    assert stage.interleave is not None
    assert plan.techniques == ()
    assert check_plan(plan, repeat(plan)) == ()


@pytest.mark.slow
def test_interleaving_is_chosen_where_sums_take_long_and_not_where_they_take_no_time() -> None:
    slow, fast = (plan_of(link, "{interleave: auto}") for link in (SLOW, FAST))
    assert values(slow) == {"interleave": "on"}
    assert slow.stages[0].interleave is not None
    assert values(fast) == {"interleave": "off"}
    assert fast.stages[0].interleave is None
    (chosen,) = slow.techniques
    assert chosen.gain is not None
    assert chosen.noise is not None
    assert chosen.gain > chosen.noise
    assert check_plan(slow) == check_plan(fast) == ()


@pytest.mark.slow
def test_shifting_is_judged_against_a_plan_of_stages_that_never_shift() -> None:
    plan = plan_of(SLOW, "{shift: auto}")
    (chosen,) = plan.techniques
    assert (chosen.technique, chosen.value == "on") == (
        "shift",
        plan.stages[0].parallel == "shift",
    )
    assert check_plan(plan) == ()


def test_a_plan_is_no_better_than_itself() -> None:
    plan = plan_of(SLOW, "{}")
    verdict = judge(plan, plan)
    assert verdict.gain == 0
    assert not verdict.is_gain


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=8))
def test_a_gain_counts_only_if_all_of_many_pairs_would_hardly_give_it_by_chance(
    gains: list[float],
) -> None:
    verdict = verdict_of(gains)
    assert verdict.noise >= 0.02
    if verdict.is_gain:
        assert sum(gains) > 0
    if max(gains) <= 0.02:
        assert not verdict.is_gain


def test_pairs_that_differ_widely_show_nothing() -> None:
    assert not verdict_of([0.5, -0.3, 0.4, -0.1]).is_gain
    assert verdict_of([0.11, 0.1, 0.12, 0.1]).is_gain
    assert verdict_of([0.11, 0.1, 0.12, 0.1]).gain == pytest.approx(0.1075)
