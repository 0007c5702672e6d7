"""Placements that their first step limits hold back are tried with others."""

from __future__ import annotations

from pathlib import Path

import pytest

from hexplan.check import check_plan
from hexplan.plan import Plan
from hexplan.reading import parse_spec
from hexplan_solver import SolveOptions, solve
from hexplan_solver.repeat import repeat

SPEC = """
version: 1
name: eight-a10
model: {{name: llama-3.1-8b}}
workload: {{prompt_tokens: {{mean: 128, max: 256}}, output_tokens: {{mean: 64, max: 128}},
  request_rate: 59.7/s}}
objective: latency
hosts:
  - {{name: node, site: lab, devices: 8 x A10, nic: 1Tbps,
     interconnect: {{bandwidth: 31.5GB/s, latency: 10us}}}}
coordinator: {{site: lab, nic: 100Gbps}}
links:
  - {{within: lab, bandwidth: 31.5GB/s, latency: 10us}}
{pin}
limits: {{chunk_tokens: 2048, time: 60s}}
"""


def plan_of(pin: str) -> Plan:
    spec = parse_spec(SPEC.format(pin=pin), Path("eight-a10.yaml"))
    return solve(spec, SolveOptions(effort_s=10))


def total_s(plan: Plan) -> float:
    """Return the mean time of a request of 64 tokens."""
    assert plan.predicted.ttft_s is not None
    assert plan.predicted.tpot_s is not None
    return float(plan.predicted.ttft_s + 63 * plan.predicted.tpot_s)


@pytest.mark.slow
def test_a_free_plan_is_no_slower_than_one_stage_of_all_devices() -> None:
    """By the formula that stage serves most with 64 decodes, which make requests wait here."""
    tied = plan_of(f"pin: [{{same_stage: [{', '.join(f'node/{n}' for n in range(8))}]}}]")
    free = plan_of("")
    assert total_s(free) <= 1.01 * total_s(tied)
    assert check_plan(free, repeat(free)) == ()
