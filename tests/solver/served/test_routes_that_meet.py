"""Routes that part and meet again: the clumps of one come at any time of another's steps."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

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

WORKLOAD = Workload(
    prompt_tokens=Lengths(mean=128, max=512), output_tokens=Lengths(mean=200, max=800)
)
NUM_SHARED, LAYERS, ROOM = 6, 4, 700_000
SPEEDS = (1.5, 2.4)
"""How many times slower two stages side by side are than the others."""


class Kernels:
    """A layer takes so long to read its weights, and a little for each token."""

    origin = "made up"
    measured_tokens = None

    def __init__(self, times: float) -> None:
        self._times = times

    def layer_s(self, prompt: int, reach: float, decode: int, context: float) -> float:
        return self._times * (1e-3 + 4e-5 * (prompt + decode)) if prompt or decode else 0.0

    def step_s(self, rows: int) -> float:
        """Return nothing."""
        return 0.0

    def head_s(self, rows: int) -> float:
        return 0.0


def parting_twice() -> PipelineModel:
    """A chain whose second and last parts are two stages side by side, one slower than the other.

    The parts between them are shared by all routes.
    """
    parts = [(1.0,), SPEEDS, *[(1.0,)] * NUM_SHARED, SPEEDS]
    columns = []
    stages: list[StageModel] = []
    for number, part in enumerate(parts):
        layers = (LAYERS * number, LAYERS * (number + 1))
        columns.append(range(len(stages), len(stages) + len(part)))
        stages += [
            StageModel(f"s{i}", layers, Kernels(times), ROOM) for i, times in enumerate(part)
        ]
    routes = [
        RouteModel((0, columns[1][early], *(column[0] for column in columns[2:-1]), last), weight)
        for early, late, weight in ((0, 0, 4), (0, 1, 2), (1, 0, 3), (1, 1, 1))
        for last in (columns[-1][late],)
    ]
    flows = Counter[tuple[int, int]]()
    for route in routes:
        for ends in pairwise((OUTSIDE, *route.stages, OUTSIDE)):
            flows[ends] += route.weight
    edges = [EdgeModel(*ends, 1e12, 2e-3, 4, weight / 10) for ends, weight in flows.items()]
    return PipelineModel(LAYERS * len(parts), tuple(stages), tuple(edges), tuple(routes))


def test_routes_that_meet_wait_for_each_other_as_in_the_simulator() -> None:
    made, policy = parting_twice(), replace(CHUNKED, max_decode_tokens=128, chunk_tokens=384)
    served = served_rate(made, WORKLOAD, policy)
    window = Window(3 * served.residence_s, served.residence_s, 1)
    outcome = simulate(made, Offline(spread_lengths(WORKLOAD)), policy, window)
    # As if all were in step, the formula promised 8 % more than the simulator serves.
    assert served.decode_tokens_per_s == pytest.approx(outcome.decode_tokens_per_s, rel=0.05)
