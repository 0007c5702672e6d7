"""Uniform placements: every grid that fits is there, and each is whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from support.clusters import host, spec_of, tiny_model
from support.random_clusters import TINY, random_spec

from hexplan.cluster import Exclusion, GroupPin, LayerPin
from hexplan.errors import LimitReached
from hexplan_solver.baselines.symmetric import place_symmetric
from hexplan_solver.flow.evaluate import evaluate
from hexplan_solver.options import SolveOptions, be_silent
from hexplan_solver.problem.problem import Problem, build_problem
from hexplan_solver.run import Run
from hexplan_solver.start.uniform import side_by_side, uniform_placements


def problem_of(*hosts: Sequence[str], **wishes: object) -> Problem:
    """Hosts h0, h1 ... with these devices, and a model of six layers with eight KV heads."""
    named = [host(f"h{i}", devices) for i, devices in enumerate(hosts)]
    spec = spec_of(tiny_model(6, kv_heads=8), named)
    return build_problem(replace(spec, cluster=spec.cluster.model_copy(update=wishes)))


def grids_of(problem: Problem) -> set[tuple[int, int, int]]:
    return {(g.degree, g.num_stages, g.num_pipelines) for g in uniform_placements(problem)}


def test_eight_like_devices_have_every_degree_and_every_number_of_stages() -> None:
    by_hand = {(tp, pp, 8 // tp // pp) for tp in range(1, 9) for pp in range(1, 7) if tp * pp <= 8}
    assert grids_of(problem_of(["d0"] * 8)) == by_hand


def test_stages_do_not_span_hosts() -> None:
    two = problem_of(["d0"] * 3, ["d0"] * 3)
    assert {(2, 1, 2), (2, 2, 1), (3, 1, 2), (3, 2, 1), (1, 6, 1)} <= grids_of(two)
    assert max(degree for degree, _, _ in grids_of(two)) == 3


def test_each_type_has_its_own_grids_and_all_types_share_some() -> None:
    problem = problem_of(["d0", "d0", "d1"], ["d1"])
    found = list(uniform_placements(problem))
    types = Counter(grid.device_types for grid in found)
    assert types == {("d0",): 3, ("d1",): 2, ("d0", "d1"): 5}
    assert [grid.num_stages for grid in found] == sorted(grid.num_stages for grid in found)
    assert {grid.name for grid in found} >= {
        "d0: TP 2 x PP 1 x DP 1",
        "d1: TP 1 x PP 2 x DP 1",
        "d0 + d1: TP 1 x PP 4 x DP 1",
    }


def test_grids_of_different_types_side_by_side_pass_the_sum_where_nothing_is_shared() -> None:
    problem = problem_of(["d0", "d0"], ["d1"])
    alone = [g for g in uniform_placements(problem) if g.name.endswith("TP 1 x PP 1 x DP 1")]
    pair = [g for g in uniform_placements(problem) if g.name == "d0: TP 2 x PP 1 x DP 1"]
    both = side_by_side(problem, [*alone, *pair])
    assert both.value == sum(grid.evaluated.value for grid in (*alone, *pair))


def test_excluded_devices_stay_out_and_tied_devices_stay_together() -> None:
    excluded = problem_of(["d0"] * 4, exclusions=(Exclusion(host="h0", device=1),))
    assert all(("h0", 1) not in grid.devices for grid in uniform_placements(excluded))
    assert max(degree for degree, _, _ in grids_of(excluded)) == 3
    tied = problem_of(["d0"] * 6, group_pins=(GroupPin(host="h0", devices=(1, 2, 4, 5)),))
    by_degree = {grid.degree: grid for grid in uniform_placements(tied)}
    assert set(by_degree) == {1, 2, 4}
    assert by_degree[4].devices == {("h0", d) for d in (1, 2, 4, 5)}
    assert by_degree[1].devices == {("h0", d) for d in (0, 3)}


def test_pinned_layers_leave_no_grid() -> None:
    assert not grids_of(
        problem_of(["d0"], ["d0"], layer_pins=(LayerPin(host="h0", layers=(0, 3)),))
    )


def test_every_pipeline_is_whole() -> None:
    for grid in uniform_placements(problem_of(["d0"] * 8)):
        held = Counter(layer for s in grid.evaluated.network.stages for layer in range(*s.layers))
        assert held == dict.fromkeys(range(6), grid.num_pipelines)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_symmetric_method_never_passes_more_than_the_best_grid(seed: int) -> None:
    spec = random_spec(seed, TINY, 1.0)
    problem = build_problem(spec)
    grids = list(uniform_placements(problem))
    best = max((grid.evaluated.value for grid in grids), default=0)
    for grid in grids:
        devices = [(s.host, d) for s in grid.evaluated.network.stages for d in s.devices]
        assert len(devices) == len(set(devices))
    try:
        placement = place_symmetric(Run(spec, SolveOptions(), be_silent), problem).placement
    except LimitReached:
        return
    assert evaluate(problem, placement).value <= best
