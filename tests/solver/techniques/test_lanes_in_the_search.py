"""Lanes on hosts that the search would cut: planned with them, and taken only where they pay."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pytest

from hexplan.check import check_plan
from hexplan.plan import Plan
from hexplan.reading import parse_spec
from hexplan.render.technique_view import techniques
from hexplan_solver import SolveOptions, solve
from hexplan_solver.repeat import repeat
from hexplan_solver.techniques.judge import judge
from hexplan_solver.techniques.lanes import as_chosen, may_gain, with_lanes

SPEC = """
version: 1
name: four-a100
model: {{name: llama-2-70b}}
workload: {{prompt_tokens: {{mean: 512, max: 1024}}, output_tokens: {output},
  request_rate: {rate}/s}}
objective: latency
hosts:
  - {{name: node, site: lab, devices: 4 x A100-80GB-PCIe, nic: 1Tbps,
     interconnect: {{bandwidth: 31.5GB/s, latency: 10us}}}}
coordinator: {{site: lab, nic: 100Gbps}}
links:
  - {{within: lab, bandwidth: 31.5GB/s, latency: 10us}}
limits: {{chunk_tokens: 2048, time: 60s}}
techniques: {{interleave: {asked}}}
"""


PROMPTS = "{mean: 1, max: 1}"
ANSWERS = "{mean: 64, max: 128}"


@lru_cache
def plan_of(rate: str, asked: str, output: str = PROMPTS) -> Plan:
    text = SPEC.format(rate=rate, asked=asked, output=output)
    return solve(parse_spec(text, Path("four-a100.yaml")), SolveOptions(effort_s=5))


@pytest.mark.slow
def test_a_whole_host_in_lanes_is_taken_where_the_search_would_cut_it_and_gains() -> None:
    plain, chosen = plan_of("7.08", "off"), plan_of("7.08", "auto")
    assert len(plain.stages) > 1
    (stage,) = chosen.stages
    assert (stage.tp, stage.interleave is not None) == (4, True)
    assert judge(plain, chosen).is_gain
    assert check_plan(chosen, repeat(chosen)) == ()


@pytest.mark.slow
def test_lanes_carry_a_rate_that_plain_steps_of_the_same_host_do_not() -> None:
    """Of 512 + 64 tokens, plain tensor parallelism serves 6.3 requests/s."""
    chosen = plan_of("8.2", "auto", ANSWERS)
    (stage,) = chosen.stages
    assert (stage.tp, stage.interleave is not None) == (4, True)
    assert chosen.cluster.techniques.interleave == "auto"
    assert (
        chosen.cluster_sha256
        == plan_of("8.2", "off", ANSWERS)
        .cluster.model_copy(update={"techniques": chosen.cluster.techniques})
        .sha256
    )
    assert check_plan(chosen, repeat(chosen)) == ()


@pytest.mark.slow
def test_hosts_stay_cut_where_pipelines_are_faster() -> None:
    chosen = plan_of("11.33", "auto")
    assert len(chosen.stages) > 1
    assert check_plan(chosen, repeat(chosen)) == ()


@pytest.mark.slow
def test_prompts_in_lanes_may_be_quicker_than_in_one() -> None:
    """At low load nobody waits, so a first token comes after a prompt's own steps."""
    chosen = plan_of("0.6", "on", ANSWERS)
    assert all(stage.interleave is not None for stage in chosen.stages)
    assert check_plan(chosen, repeat(chosen)) == ()


def test_what_is_planned_with_lanes_asks_for_auto_as_the_spec_does() -> None:
    spec = parse_spec(SPEC.format(rate="0.6", asked="auto", output=ANSWERS), Path("four.yaml"))
    assert may_gain(spec)
    lanes = solve(with_lanes(spec), SolveOptions(effort_s=1))
    chosen = as_chosen(lanes)
    assert chosen.cluster == spec.cluster
    (said,) = chosen.techniques
    assert (said.value, said.gain) == ("on", None)
    assert list(techniques(chosen.techniques)) == [
        "  interleave: on, as no plan was found that carries the rate without"
    ]
    assert check_plan(chosen, repeat(chosen)) == ()
