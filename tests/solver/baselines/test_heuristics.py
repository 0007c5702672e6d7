"""The simple methods on clusters whose answer can be worked out by hand, or by trying all."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clusters import host, profile, spec_of, tiny_model

from hexplan.check import check_plan
from hexplan.errors import LimitReached
from hexplan.plan import Plan
from hexplan.reading import read_spec
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, solve
from hexplan_solver.baselines.methods import BASELINES
from hexplan_solver.options import be_silent
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.run import Run

SPECS = Path(__file__).parents[3] / "cluster_specs"


def planned(method: str, spec: Spec) -> Plan:
    plan = solve(spec, SolveOptions(method=method))
    assert check_plan(plan) == ()
    return plan


def sizes(plan: Plan) -> dict[str, int]:
    return {stage.host: stage.layers[1] - stage.layers[0] for stage in plan.stages}


def machines_with(rooms: list[int], layers: int) -> Spec:
    """Machines that hold so many layers each, all equally fast."""
    hosts = [host(f"h{i:02d}", [f"d{room}"]) for i, room in enumerate(rooms)]
    profiles = [profile(f"d{room}", [960 // k for k in range(1, room + 1)]) for room in set(rooms)]
    return spec_of(tiny_model(layers), hosts, profiles=profiles)


def test_swarm_needs_as_many_stages_as_the_smallest_machine_makes_necessary() -> None:
    plan = planned("swarm", machines_with([4, 4, 4, 4, 3, 3, 3, 3], 12))
    held = Counter(stage.layers for stage in plan.stages)
    assert held == {(0, 3): 2, (3, 6): 2, (6, 9): 2, (9, 12): 2}


def test_swarm_leaves_small_machines_out_where_all_cannot_serve() -> None:
    plan = planned("swarm", machines_with([6, 6, 1], 12))
    assert sizes(plan) == {"h00": 6, "h01": 6}
    assert [(u.host, u.reason) for u in plan.unused] == [("h02", "left out by the method `swarm`")]


def test_swarm_has_no_placement_with_fewer_machines_than_stages() -> None:
    with pytest.raises(LimitReached, match="fewer machines than stages"):
        solve(machines_with([8, 3, 1], 12), SolveOptions(method="swarm"))


def test_ram_shares_layers_in_proportion_to_memory() -> None:
    """exo on the 24 machines of Helix: 9 suffice, of 40, 40, 40, 40, 24, 24, 24, 24 and 24 GB."""
    plan = planned("ram", read_spec(SPECS / "helix-single24-llama70b.yaml"))
    found = Counter((name.split("-")[0], size) for name, size in sizes(plan).items())
    assert found == {("a100", 12): 1, ("a100", 11): 3, ("l4", 7): 5}
    assert sum(count * size for (_, size), count in found.items()) == 80


@settings(max_examples=10, deadline=None)
@given(rooms=st.lists(st.integers(1, 6), min_size=2, max_size=5), layers=st.integers(3, 8))
def test_tflops_builds_the_pipelines_that_parallax_scores_highest(
    rooms: list[int], layers: int
) -> None:
    if sum(rooms) < layers:
        return
    spec = machines_with(rooms, layers)
    planned("tflops", spec)
    result = BASELINES["tflops"](Run(spec, SolveOptions(), be_silent), build_problem(spec))
    pipelines = sum(stage.layers[0] == 0 for stage in result.placement)
    assert Fraction(pipelines**2, len(result.placement)) == best_score(rooms, layers)


def best_score(rooms: list[int], layers: int) -> Fraction:
    """The largest k^2 / s over every way to put machines into pipelines, or into none."""
    most = sum(rooms) // layers
    best = Fraction(0)
    for owners in product(range(-1, most), repeat=len(rooms)):
        held = [0] * most
        for owner, room in zip(owners, rooms, strict=True):
            if owner >= 0:
                held[owner] += room
        used = [owner for owner in owners if owner >= 0]
        whole = len(set(used))
        if used and all(held[owner] >= layers for owner in used):
            best = max(best, Fraction(whole**2, len(used)))
    return best


def test_symmetric_pipelines_have_one_degree_and_one_size() -> None:
    plan = planned("symmetric", read_spec(SPECS / "hexgen-half30.yaml"))
    assert len({stage.tp for stage in plan.stages}) == 1
    assert len({stage.layers[1] - stage.layers[0] for stage in plan.stages}) == 1
    held = Counter(stage.layers for stage in plan.stages)
    # The last range has the head, and limits the flow; elsewhere a stage may be needless.
    whole = held[max(held)]
    assert all(whole - 1 <= count <= whole for count in held.values())
