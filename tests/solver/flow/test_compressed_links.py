"""Plans over links that compress activations carry more, and the check counts the same bytes."""

from __future__ import annotations

from decimal import Decimal

import pytest
from support.specs import spec_of

from hexplan.check import check_plan
from hexplan.constants import MICRO
from hexplan.plan import Plan
from hexplan_solver import SolveOptions, solve

TWO_SITES = """\
version: 1
name: two-sites
model: llama-2-7b
objective: throughput
workload: {{prompt_tokens: {{mean: 512, max: 1024}}, output_tokens: 128}}
hosts:
  - {{name: ada, site: left, devices: L4, nic: {nic}}}
  - {{name: bob, site: right, devices: L4, nic: {nic}}}
coordinator: {{site: left, nic: 10Gbps}}
links:
  - {{within: left, bandwidth: 10Gbps, latency: 0.1ms}}
  - {{between: [left, right], bandwidth: {rate}, latency: 10ms{more}}}
pin:
  - {{host: ada, layers: [0, 16]}}
  - {{host: bob, layers: [16, 32]}}
"""
HIDDEN = 4096
COMPRESSED = HIDDEN + 4 * 32


def plan_of(rate: str = "10Gbps", nic: str = "10Gbps", more: str = "") -> Plan:
    return solve(spec_of(TWO_SITES.format(rate=rate, nic=nic, more=more)), SolveOptions())


def rate_of(bandwidth: int, num_bytes: int) -> Decimal:
    return Decimal(bandwidth * MICRO // num_bytes) / MICRO


@pytest.mark.parametrize("narrow", ["rate", "nic", "trunk"])
def test_what_is_narrow_carries_tokens_of_fewer_bytes(narrow: str) -> None:
    narrow_to: dict[str, str] = {} if narrow == "trunk" else {narrow: "20Mbps"}
    trunk = ", trunk: 20Mbps" if narrow == "trunk" else ""
    plain = plan_of(**narrow_to, more=trunk)
    compressed = plan_of(**narrow_to, more=f"{trunk}, compress: int8")
    for plan, num_bytes in ((plain, 2 * HIDDEN), (compressed, COMPRESSED)):
        assert check_plan(plan) == ()
        found = plan.predicted.tokens_per_s
        limit = rate_of(2_500_000, num_bytes)
        assert limit * Decimal("0.98") < found <= limit


def test_the_check_refuses_the_flow_of_compressed_links_over_plain_ones() -> None:
    plan = plan_of("20Mbps", more=", compress: int8")
    links = tuple(link.model_copy(update={"compress": "none"}) for link in plan.cluster.links)
    cluster = plan.cluster.model_copy(update={"links": links})
    forged = plan.model_copy(update={"cluster": cluster, "cluster_sha256": cluster.sha256})
    assert "edge-capacity" in " ".join(found.name for found in check_plan(forged))
