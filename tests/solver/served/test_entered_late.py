"""Stages that requests enter at a later layer, in the served rate's formula."""

from __future__ import annotations

import pytest

from hexplan.workload import Lengths, Workload
from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.served.request import spread_lengths
from hexplan_solver.served.served import served_rate
from hexplan_solver.simulate import (
    CHUNKED,
    EdgeModel,
    Offline,
    PipelineModel,
    RouteModel,
    StageModel,
    Window,
    simulate,
)

LENGTHS = Lengths(mean=100, max=100)
ALIKE = Workload(prompt_tokens=LENGTHS, output_tokens=LENGTHS)
ROOM = 4_000
HELPERS = (7, 8), (0, 8)
"""Layers that the stage which runs the last one holds."""


class Reading:
    """A layer takes 1 ms to read its weights, and a little for each token."""

    origin = "made up"
    measured_tokens = None

    def layer_s(self, prompt: int, reach: float, decode: int, context: float) -> float:
        return 1e-3 + 2e-4 * (prompt + decode) if prompt or decode else 0.0

    def step_s(self, rows: int) -> float:
        """Return nothing."""
        return 0.0

    def head_s(self, rows: int) -> float:
        return 0.0


def pipeline(helper: tuple[int, int]) -> PipelineModel:
    """One stage alone beside a chain of two, whose second stage runs the last layer of eight."""
    ranges = (0, 8), (0, 7), helper
    rooms = ROOM, ROOM, 10 * ROOM
    stages = tuple(
        StageModel(f"s{i}", layers, Reading(), room)
        for i, (layers, room) in enumerate(zip(ranges, rooms, strict=True))
    )
    ends = (OUTSIDE, 0), (0, OUTSIDE), (OUTSIDE, 1), (1, 2), (2, OUTSIDE)
    edges = tuple(EdgeModel(source, target, 1e12, 1e-4, 4, 1.0) for source, target in ends)
    return PipelineModel(8, stages, edges, (RouteModel((0,), 1), RouteModel((1, 2), 1)))


@pytest.mark.parametrize("helper", HELPERS)
def test_a_stage_is_no_help_with_layers_that_no_request_runs_in_it(helper: tuple[int, int]) -> None:
    made, policy = pipeline(helper), CHUNKED
    served = served_rate(made, ALIKE, policy)
    outcome = simulate(made, Offline(spread_lengths(ALIKE)), policy, Window(120.0, 40.0, 1))
    assert served.decode_tokens_per_s <= 1.25 * outcome.decode_tokens_per_s


def test_layers_that_no_request_runs_change_little() -> None:
    rates = [served_rate(pipeline(helper), ALIKE).decode_tokens_per_s for helper in HELPERS]
    assert rates[0] == pytest.approx(rates[1], rel=0.1)


def test_a_prompt_takes_as_many_full_steps_as_it_has_chunks_however_short_the_output() -> None:
    alone = PipelineModel(
        8,
        (StageModel("s0", (0, 8), Reading(), 10**6),),
        (EdgeModel(OUTSIDE, 0, 1e12, 1e-4, 4, 1.0), EdgeModel(0, OUTSIDE, 1e12, 1e-4, 4, 1.0)),
        (RouteModel((0,), 1),),
    )
    prompt, output = Lengths(mean=2048, max=2048), Lengths(mean=2, max=2)
    workload = Workload(prompt_tokens=prompt, output_tokens=output)
    served = served_rate(alone, workload, CHUNKED)
    chunks = -(-2048 // (CHUNKED.chunk_tokens or 1))
    least_s = 8 * (chunks * 1e-3 + 2048 * 2e-4)
    assert served.requests_per_s <= 1 / least_s
