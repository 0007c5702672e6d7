"""Lanes on hosts that the search would cut: planned anew, and taken only where they pay."""

from __future__ import annotations

from pathlib import Path

import pytest

from hexplan.check import check_plan
from hexplan.plan import Plan
from hexplan.reading import parse_spec
from hexplan_solver import SolveOptions, solve
from hexplan_solver.repeat import repeat
from hexplan_solver.techniques.judge import judge

SPEC = """
version: 1
name: four-a100
model: {{name: llama-2-70b}}
workload: {{prompt_tokens: {{mean: 512, max: 1024}}, output_tokens: {{mean: 1, max: 1}},
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


def plan_of(rate: str, asked: str) -> Plan:
    text = SPEC.format(rate=rate, asked=asked)
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
def test_hosts_stay_cut_where_no_plan_of_whole_ones_carries_the_rate() -> None:
    chosen = plan_of("9.2", "auto")
    assert len(chosen.stages) > 1
    assert chosen.cluster.group_pins == ()
    assert check_plan(chosen, repeat(chosen)) == ()
