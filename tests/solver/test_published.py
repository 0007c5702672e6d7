"""The flow of published placements is the published flow: our network is theirs."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.published import published_stages

from hexplan.reading import read_spec
from hexplan_solver.flow.max_flow import max_flow
from hexplan_solver.flow.network import build_network

SPECS = Path(__file__).parents[2] / "cluster_specs"


@pytest.mark.parametrize(
    ("spec", "method", "tokens_per_s"),
    [
        ("helix-single24-llama70b", "helix", 1289.556),
        ("helix-single24-llama70b", "petals", 952.107),
        ("helix-single24-llama70b", "swarm", 757.853),
        ("helix-single24-llama70b", "homogeneous", 531.703),
        ("helix-geo24-llama30b", "helix", 1137.177),
        ("helix-geo24-llama30b", "petals", 898.570),
        ("helix-geo24-llama30b", "swarm", 889.834),
        ("helix-abl10-llama30b", "helix", 286.587),
        ("helix-single24-a100-llama30b", "helix", 1044.533),
        ("helix-single24-l4-llama30b", "helix", 214.981),
        ("helix-single24-t4-llama30b", "helix", 397.685),
    ],
)
def test_a_published_placement_has_its_published_flow(
    spec: str, method: str, tokens_per_s: float
) -> None:
    cluster = read_spec(SPECS / f"{spec}.yaml")
    stages = published_stages(cluster, f"{spec}__{method}")
    flow = max_flow(build_network(cluster, stages))
    assert flow.value / 10**6 == pytest.approx(tokens_per_s, abs=6e-4)


def test_helix_placement_on_42_machines_has_the_flow_that_its_milp_ended_with() -> None:
    """Its table of speeds was derived here, and equals the artifact's to a few ten thousandths."""
    cluster = read_spec(SPECS / "helix-high42-llama70b.yaml")
    stages = published_stages(cluster, "helix-high42-llama70b__helix")
    flow = max_flow(build_network(cluster, stages))
    assert flow.value / 10**6 == pytest.approx(4137.547585398, rel=3e-4)
