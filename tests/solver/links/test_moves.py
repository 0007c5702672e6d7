"""Moves: whatever is drawn, every stage stays possible and no device is in two."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st
from support.clusters import host, profile, spec_of, tiny_model

from hexplan.cluster import LayerPin
from hexplan_solver.links.moves import Moves
from hexplan_solver.options import SolveOptions
from hexplan_solver.placement.naming import place
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.start.link_free import first_placement

SPEC = spec_of(
    tiny_model(8),
    [host("h0", ["d0"] * 3), host("h1", ["d0", "d0"]), host("h2", ["d1"]), host("h3", ["d1"])],
    profiles=[
        profile("d0", [400, 190, 120, 80]),
        profile("d0", [700, 350, 220, 160, 130, 100], 2),
        profile("d0", [900, 500, 310, 240, 180, 150, 120, 100], 3),
        profile("d1", [300, 140]),
    ],
)
PROBLEM = build_problem(SPEC)
START = place(PROBLEM, first_placement(PROBLEM, SolveOptions(), 5).counts)


@settings(deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_walk_of_moves_stays_among_possible_placements(seed: int) -> None:
    moves = Moves(PROBLEM, random.Random(seed))
    stages = START
    for _ in range(30):
        stages = moves.neighbour(stages) or stages
        for stage in stages:
            kind = PROBLEM.kinds[stage.kind]
            assert stage.rate == kind.rates.of(*stage.layers) > 0
            types = SPEC.cluster.host_by_name[stage.host].devices
            assert tuple(types[d] for d in stage.devices) == kind.group
        for one, other in combinations(stages, 2):
            assert one.host != other.host or set(one.devices).isdisjoint(other.devices)


def test_a_pinned_stage_keeps_its_layers() -> None:
    pins = (LayerPin(host="h2", layers=(0, 2)),)
    problem = build_problem(
        replace(SPEC, cluster=SPEC.cluster.model_copy(update={"layer_pins": pins}))
    )
    kind = next(kind for kind in problem.kinds if kind.pin is not None)
    stages = [PlacedStage((0, 2), "h2", (0,), kind.index, kind.rates.of(0, 2))]
    moves = Moves(problem, random.Random(1))
    for _ in range(300):
        stages = moves.neighbour(stages) or stages
        assert [s.layers for s in stages if s.host == "h2"] == [(0, 2)]
    assert len(stages) > 1
