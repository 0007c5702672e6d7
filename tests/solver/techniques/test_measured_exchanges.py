"""Stages that shift over a link whose exchanges were measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from hexplan.check import check_plan
from hexplan.reading import parse_spec
from hexplan_solver import SolveOptions, solve
from hexplan_solver.repeat import repeat

SPEC = """
version: 1
name: pair
model: {{name: llama-3.1-8b}}
workload: {{prompt_tokens: {{mean: 600, max: 2000}}, output_tokens: {{mean: 60, max: 200}}}}
hosts:
  - {{name: node, site: lab, devices: 2 x A100-40GB-PCIe, nic: 100Gbps,
     interconnect: {{bandwidth: 4GB/s, latency: 20us{exchange}}}}}
coordinator: {{site: lab, nic: 100Gbps}}
links:
  - {{within: lab, bandwidth: 100Gbps, latency: 0.1ms}}
pin:
  - same_stage: [node/0, node/1]
limits: {{parallel: [shift], time: 1s}}
"""


def threshold(exchange: str) -> int:
    """Return the shift threshold of the plan, which `check` computes for itself."""
    text = SPEC.format(exchange=exchange)
    plan = solve(parse_spec(text, Path("pair.yaml")), SolveOptions(effort_s=5))
    assert check_plan(plan, repeat(plan)) == ()
    (stage,) = plan.stages
    assert stage.shift_tokens is not None
    return stage.shift_tokens


@pytest.mark.slow
def test_exchanges_that_start_slowly_let_larger_steps_be_tensor_parallel() -> None:
    assumed = threshold("")
    assert threshold(", exchange_latency: 40us") == assumed
    assert threshold(", exchange_latency: 20us") < assumed < threshold(", exchange_latency: 400us")
