"""The heuristics of Helix's comparison place every layer where the published runs did."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest
from support.published import FOLDER

from hexplan.check import check_plan
from hexplan.reading import read_spec
from hexplan_solver import SolveOptions, solve
from hexplan_solver.baselines.methods import BASELINES
from hexplan_solver.options import be_silent
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.run import Run

SPECS = Path(__file__).parents[3] / "cluster_specs"


def layers_by_host(spec_name: str, method: str) -> dict[str, list[int]]:
    spec = read_spec(SPECS / f"{spec_name}.yaml")
    run = Run(spec, SolveOptions(seed=0), be_silent)
    result = BASELINES[method](run, build_problem(spec))
    return {stage.host: list(stage.layers) for stage in result.placement}


@pytest.mark.parametrize(
    ("spec", "method", "published", "tokens_per_s"),
    [
        ("helix-single24-llama70b", "petals", "petals", 952.107),
        ("helix-single24-llama70b", "swarm", "swarm", 757.853),
        ("helix-single24-llama70b", "separate", "homogeneous", 531.703),
        ("helix-geo24-llama30b", "petals", "petals", 898.570),
        ("helix-geo24-llama30b", "swarm", "swarm", 889.834),
    ],
)
def test_a_published_layout_and_its_flow_are_found_again(
    spec: str, method: str, published: str, tokens_per_s: float
) -> None:
    layout = json.loads((FOLDER / f"{spec}__{published}.json").read_text())
    assert layers_by_host(spec, method) == layout
    plan = solve(read_spec(SPECS / f"{spec}.yaml"), SolveOptions(seed=0, method=method))
    assert check_plan(plan) == ()
    assert float(plan.certificate.flow_tokens_per_s) == pytest.approx(tokens_per_s, abs=6e-4)


def test_the_published_swarm_layout_of_42_machines_is_found_again() -> None:
    layout = json.loads((FOLDER / "helix-high42-llama70b__swarm.json").read_text())
    assert layers_by_host("helix-high42-llama70b", "swarm") == layout


def test_separate_pipelines_have_the_published_sizes() -> None:
    """The artifact's three pipelines for LLaMA-30B: 4 A100, 8 L4, 12 T4, one pipeline each."""
    ranges = defaultdict(list)
    for host, (first, end) in layers_by_host("helix-geo24-llama30b", "separate").items():
        ranges[host.split("-")[0]].append((first, end))
    assert {kind: sorted(found) for kind, found in ranges.items()} == {
        "a100": [(0, 15), (15, 30), (30, 45), (45, 60)],
        "l4": [(0, 8), (8, 16), (16, 24), (24, 32), (32, 39), (39, 46), (46, 53), (53, 60)],
        "t4": [(i, i + 5) for i in range(0, 60, 5)],
    }


def test_another_seed_lets_machines_join_petals_in_another_order() -> None:
    spec = read_spec(SPECS / "helix-single24-llama70b.yaml")
    one, other = (solve(spec, SolveOptions(seed=seed, method="petals")) for seed in (1, 2))
    assert check_plan(one) == check_plan(other) == ()
    assert one.stages != other.stages
