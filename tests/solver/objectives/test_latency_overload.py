"""A rate that no plan serves is refused, not planned by a model in which nobody waits for steps."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.slow import slow

from hexplan.errors import InfeasibleError, LimitReached
from hexplan.reading import parse_spec
from hexplan_solver import SolveOptions, solve

SPEC = """
version: 1
name: four-l4
model: {{name: llama-3.1-8b}}
workload: {{prompt_tokens: {{mean: 1024, max: 2048}}, output_tokens: {{mean: 16, max: 32}},
  request_rate: {rate}/s}}
objective: latency
hosts:
  - {{name: node, site: lab, devices: 4 x L4, nic: 1Tbps,
     interconnect: {{bandwidth: 450GB/s, latency: 10us}}}}
coordinator: {{site: lab, nic: 100Gbps}}
links:
  - {{within: lab, bandwidth: 450GB/s, latency: 10us}}
limits: {{chunk_tokens: 2048, time: 60s}}
"""


@pytest.mark.parametrize("rate", [14.2, slow(19)])
def test_a_rate_above_what_steps_serve_is_refused(rate: float) -> None:
    """The best plan serves 12.6 requests/s."""
    spec = parse_spec(SPEC.format(rate=rate), Path("four-l4.yaml"))
    with pytest.raises((InfeasibleError, LimitReached)) as refused:
        solve(spec, SolveOptions(effort_s=5))
    assert f"{rate:g}" in refused.value.message
    assert refused.value.hint
