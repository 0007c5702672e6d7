"""The rehearsed rate, against closed forms and the simulator."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexplan.workload import Lengths, Workload
from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.served.rehearsal.rate import RehearsedRate, rehearsed_rate
from hexplan_solver.served.request import spread_lengths
from hexplan_solver.simulate import (
    CHUNKED,
    WHOLE,
    EdgeModel,
    Offline,
    PipelineModel,
    Policy,
    RouteModel,
    StageModel,
    Window,
    simulate,
)

FIXED = Workload(prompt_tokens=Lengths(mean=1, max=1), output_tokens=Lengths(mean=101, max=101))
SHORT = Workload(prompt_tokens=Lengths(mean=20, max=60), output_tokens=Lengths(mean=60, max=180))
LONG = Workload(prompt_tokens=Lengths(mean=300, max=900), output_tokens=Lengths(mean=32, max=96))
SMALL = replace(CHUNKED, chunk_tokens=128, max_decode_tokens=32)


class Affine:
    """A layer takes some time for the weights and some for each token."""

    origin = "made up"
    measured_tokens = None

    def __init__(self, step_s: float, token_s: float) -> None:
        self._step_s, self._token_s = step_s, token_s

    def layer_s(self, prompt: int, reach: float, decode: int, context: float) -> float:
        return self._step_s + self._token_s * (prompt + decode)

    def step_s(self, rows: int) -> float:
        return 0.0

    def head_s(self, rows: int) -> float:
        return 0.0


def pipeline(
    stages: list[StageModel],
    routes: list[tuple[int, ...]],
    latency_s: float = 1e-3,
    bytes_per_s: float = 1e9,
) -> PipelineModel:
    """Join stages along routes of equal weight, with 8 kB a token."""
    weights: dict[tuple[int, int], int] = {}
    for route in routes:
        for ends in zip((OUTSIDE, *route), (*route, OUTSIDE), strict=True):
            weights[ends] = weights.get(ends, 0) + 1
    edges = tuple(
        EdgeModel(source, target, bytes_per_s, latency_s, 8192, float(weight))
        for (source, target), weight in sorted(weights.items())
    )
    layers = max(stage.layers[1] for stage in stages)
    made = tuple(RouteModel(route, 1) for route in routes)
    return PipelineModel(layers, tuple(stages), edges, made, context_tokens=100)


def chain(speeds: list[float], kv_tokens: int = 8_000, latency_s: float = 1e-3) -> PipelineModel:
    stages = [
        StageModel(f"s{i}", (4 * i, 4 * i + 4), Affine(0.002 / speed, 2e-5 / speed), kv_tokens)
        for i, speed in enumerate(speeds)
    ]
    return pipeline(stages, [tuple(range(len(speeds)))], latency_s)


def beside(*speeds: float, kv_tokens: tuple[int, int] = (8_000, 8_000)) -> PipelineModel:
    """Two stages that each run everything."""
    stages = [
        StageModel(f"s{i}", (0, 4), Affine(0.002 / speed, 2e-5 / speed), room)
        for i, (speed, room) in enumerate(zip(speeds, kv_tokens, strict=True))
    ]
    return pipeline(stages, [(0,), (1,)])


def meeting() -> PipelineModel:
    """Two first stages, of which one ends earlier, before a last one."""
    stages = [
        StageModel("s0", (0, 4), Affine(0.002, 2e-5), 12_000),
        StageModel("s1", (0, 6), Affine(0.002, 2e-5), 12_000),
        StageModel("s2", (4, 8), Affine(0.001, 1e-5), 24_000),
    ]
    return pipeline(stages, [(0, 2), (1, 2)], latency_s=0.005)


MADE = {
    "alone": chain([1.0]),
    "chain": chain([1.0, 1.0, 1.0]),
    "far chain": chain([1.0, 1.0, 1.0], latency_s=0.03),
    "uneven chain": chain([1.0, 0.4, 1.5]),
    "beside": beside(1.0, 1.0),
    "meeting": meeting(),
}


def simulated(
    made: PipelineModel, workload: Workload, policy: Policy, found: RehearsedRate
) -> float:
    """Simulate five stays of a request, or 500 requests if those take longer."""
    stay_s = found.in_flight / found.requests_per_s
    measured_s = max(5 * stay_s, 500 / found.requests_per_s)
    window = Window(3 * stay_s + measured_s, 3 * stay_s, seed=3)
    outcome = simulate(made, Offline(spread_lengths(workload)), policy, window)
    return outcome.decode_tokens_per_s


@pytest.mark.parametrize("workload", [SHORT, LONG], ids=["short", "long"])
@pytest.mark.parametrize("name", MADE)
def test_a_rehearsal_comes_within_a_tenth_of_the_simulator(name: str, workload: Workload) -> None:
    found = rehearsed_rate(MADE[name], workload, SMALL)
    served = simulated(MADE[name], workload, SMALL, found)
    assert found.decode_tokens_per_s == pytest.approx(served, rel=0.1)


def test_one_stage_far_away_serves_its_requests_in_flight_over_the_way_there_and_back() -> None:
    # No more than 0.8 * 10 200 / 102 = 80 are in flight when one more comes. Decodes take 1.008 s
    # a round. A request comes 0.1 s after another has ended, so that a few are missing.
    stage = StageModel("s0", (0, 4), Affine(0.002, 0.0), 10_200)
    found = rehearsed_rate(
        pipeline([stage], [(0,)], latency_s=0.5, bytes_per_s=1e15), FIXED, CHUNKED
    )
    assert found.in_flight == 81
    assert found.requests_per_s == pytest.approx(80 / (100 * 1.008 + 1.1), rel=0.02)


def test_the_slower_of_two_routes_gathers_requests_until_it_decides_the_rate() -> None:
    # Requests alternate, so the quick stage serves no more than the slow one, which has room for
    # nearly all of them and is always busy.
    rooms = (80_000, 8_000)
    alike, uneven = beside(0.3, 0.3, kv_tokens=rooms), beside(0.3, 3.0, kv_tokens=rooms)
    slow = rehearsed_rate(alike, LONG, SMALL).decode_tokens_per_s
    assert rehearsed_rate(uneven, LONG, SMALL).decode_tokens_per_s == pytest.approx(slow, rel=0.1)


def test_the_same_pipeline_gives_the_same_figures() -> None:
    one, other = (rehearsed_rate(meeting(), SHORT, SMALL) for _ in range(2))
    assert one == other


def test_times_and_rate_obey_littles_law() -> None:
    found = rehearsed_rate(MADE["chain"], SHORT, SMALL)
    decodes = found.decode_tokens_per_s / found.requests_per_s
    stay_s = found.ttft_s + decodes * found.tpot_s
    assert found.requests_per_s * stay_s == pytest.approx(found.in_flight)


@given(kv_tokens=st.integers(1_000, 4_000), speed=st.floats(0.3, 3.0))
@settings(max_examples=3, deadline=None)
def test_more_room_and_quicker_stages_serve_no_less(kv_tokens: int, speed: float) -> None:
    def rate(kv_tokens: int, speed: float) -> float:
        made = chain([speed, speed], kv_tokens)
        return rehearsed_rate(made, SHORT, SMALL).decode_tokens_per_s

    own = rate(kv_tokens, speed)
    assert rate(2 * kv_tokens, speed) >= own * 0.97
    assert rate(kv_tokens, 2 * speed) >= own * 1.03


def test_a_single_request_is_rehearsed_where_there_is_no_room_for_a_whole_one() -> None:
    found = rehearsed_rate(chain([1.0], kv_tokens=10), SHORT, SMALL)
    assert found.in_flight == 1
    assert found.requests_per_s > 0


def test_prompts_that_run_whole_are_not_rehearsed() -> None:
    with pytest.raises(ValueError, match="chunks"):
        rehearsed_rate(MADE["chain"], SHORT, WHOLE)
