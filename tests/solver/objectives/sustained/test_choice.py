"""The choice among candidates, wherever its time ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import pytest
from support.clusters import device_type, host, link, profile, spec_of, tiny_model

from hexplan.field_types import Range
from hexplan_solver.objectives.sustained.candidate import Candidate, candidate_of
from hexplan_solver.objectives.sustained.choice import choose
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem, build_problem
from hexplan_solver.served.step_limits import widest
from hexplan_solver.simulate import CHUNKED, Window

WINDOW = Window(duration_s=220.0, warmup_s=16.0, seed=0)
"""A tenth of what the search would simulate of these, so that many runs take seconds."""


@pytest.fixture(scope="module")
def problem() -> Problem:
    """Six like hosts, 20 ms from each other; with few layers each passes most tokens."""
    far = link("here", "here", 10**7).model_copy(update={"latency_s": Decimal("0.02")})
    spec = spec_of(
        tiny_model(12),
        [host(f"h{i}", ["d"]) for i in range(6)],
        types=[device_type("d", memory_bytes=10**6, speed=10**8)],
        profiles=[profile("d", [1000, 400, 250, 190])],
        links=[far],
    )
    return build_problem(spec)


def placement(problem: Problem, chains: Sequence[Sequence[Range]]) -> Candidate:
    """Give each range of each chain a host."""
    ranges = [layers for chain in chains for layers in chain]
    stages = [
        PlacedStage(layers, f"h{i}", (0,), 0, problem.kinds[0].rates.of(*layers))
        for i, layers in enumerate(ranges)
    ]
    found = candidate_of(problem, sorted(stages), widest(problem.spec, CHUNKED))
    assert found is not None
    return found


@dataclass(slots=True)
class Runs:
    """A budget of some runs, none of which go to other step limits."""

    left: int

    def may_run(self, candidate: Candidate, num_seeds: int = 1) -> bool:
        self.left -= 1
        return self.left >= 0

    def may_tune(self) -> bool:
        return False


def test_a_better_candidate_that_was_tried_is_never_given_up_for_want_of_time(
    problem: Problem,
) -> None:
    deep = placement(problem, [[(i, i + 3) for i in range(0, 12, 3)]])
    shallow = placement(problem, [[(0, 4), (4, 8), (8, 12)]] * 2)
    chosen = [choose([deep], [shallow], WINDOW, Runs(checks)).found for checks in range(8)]
    is_shallow = [found.evaluated is shallow.evaluated for found in chosen]
    assert not is_shallow[0]
    assert is_shallow[-1]
    assert is_shallow == sorted(is_shallow)
