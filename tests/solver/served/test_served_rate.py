"""The formula of the served rate, against closed forms and the simulator."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexplan.workload import Lengths, Workload
from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.served.params import SERVED_PARAMS
from hexplan_solver.served.request import mean_request
from hexplan_solver.served.served import served_rate
from hexplan_solver.simulate import (
    CHUNKED,
    WHOLE,
    EdgeModel,
    FixedLengths,
    Offline,
    PipelineModel,
    RouteModel,
    SpreadLengths,
    StageModel,
    Window,
    simulate,
)

FIXED = Workload(prompt_tokens=Lengths(mean=1, max=1), output_tokens=Lengths(mean=101, max=101))
SPREAD = Workload(prompt_tokens=Lengths(mean=60, max=200), output_tokens=Lengths(mean=40, max=160))


class Steady:
    """A layer takes the same time for every step of decodes, and none for prompts."""

    origin = "made up"
    measured_tokens = None

    def __init__(self, decode_s: float, prompt_token_s: float = 0.0) -> None:
        self._decode_s, self._prompt_token_s = decode_s, prompt_token_s

    def layer_s(self, prompt: int, reach: float, decode: int, context: int) -> float:
        return prompt * self._prompt_token_s + (self._decode_s if decode else 0.0)

    def step_s(self, rows: int) -> float:
        """Return nothing."""
        return 0.0

    def head_s(self, rows: int) -> float:
        return 0.0


def chain(*stages: StageModel, latency_s: float = 0.0) -> PipelineModel:
    ends = [OUTSIDE, *range(len(stages)), OUTSIDE]
    edges = tuple(
        EdgeModel(source, target, 1e15, latency_s, 4, 1.0)
        for source, target in zip(ends, ends[1:], strict=False)
    )
    route = RouteModel(tuple(range(len(stages))), 1)
    return PipelineModel(stages[-1].layers[1], stages, edges, (route,))


def one_stage(kv_tokens: int, latency_s: float = 0.5) -> PipelineModel:
    stage = StageModel("s0", (0, 4), Steady(0.001), kv_tokens)
    return chain(stage, latency_s=latency_s)


def test_one_stage_far_away_serves_its_requests_in_flight_over_the_way_there_and_back() -> None:
    # 0.8 * 10 200 / 102 = 80 in flight, a round trip of 1.004 s, and the prompt takes as long
    # on its way: 80 = X (100 * 1.004 + 1). At so low a load nothing waits to speak of.
    served = served_rate(one_stage(10_200), FIXED)
    assert served.in_flight == pytest.approx(80)
    assert served.requests_per_s == pytest.approx(80 / (100 * 1.004 + 1), rel=2e-3)
    assert served.hops == 1
    assert served.residence_s == pytest.approx(80 / served.requests_per_s)


@given(
    kv=st.lists(st.integers(2_000, 100_000), min_size=2, max_size=4),
    tightest=st.data(),
    decode_s=st.floats(1e-4, 1e-2),
)
@settings(max_examples=50, deadline=None)
def test_more_kv_room_never_serves_less_and_is_wasted_where_it_is_not_tight(
    kv: list[int], tightest: st.DataObject, decode_s: float
) -> None:
    def rate(rooms: list[int]) -> float:
        stages = [
            StageModel(f"s{i}", (2 * i, 2 * i + 2), Steady(decode_s, 1e-6), room)
            for i, room in enumerate(rooms)
        ]
        return served_rate(chain(*stages, latency_s=0.01), SPREAD).decode_tokens_per_s

    grown = tightest.draw(st.integers(0, len(kv) - 1))
    more = [room + 5_000 * (i == grown) for i, room in enumerate(kv)]
    assert rate(more) >= rate(kv) * (1 - 1e-3)
    if kv[grown] > min(kv):
        assert rate(more) == rate(kv)


def test_the_rate_stays_below_what_the_busiest_stage_can_do() -> None:
    slow = StageModel("s0", (0, 2), Steady(0.001, 0.001), 10**9)
    served = served_rate(chain(slow, latency_s=0.001), SPREAD)
    # Each request costs its 60 prompt tokens 2 ms each, to say nothing of the decodes.
    # The quantiles of the lengths give 59.99 tokens in the mean.
    assert served.requests_per_s < 1 / (59.9 * 0.002)


@pytest.mark.parametrize("policy", [CHUNKED, WHOLE])
def test_the_means_of_a_request_are_those_of_the_lengths_that_are_drawn(policy: object) -> None:
    request = mean_request(SPREAD, CHUNKED if policy is CHUNKED else WHOLE)
    assert request.prompt_tokens == pytest.approx(60, rel=0.02)
    assert request.decode_tokens == pytest.approx(40 - (policy is CHUNKED), rel=0.02)
    assert request.reserved_tokens > 60 + 40
    assert list(request.prompt_sizes) == sorted(request.prompt_sizes)


def test_the_high_water_mark_is_that_of_the_simulator() -> None:
    assert Offline(FixedLengths(1, 1)).high_water == SERVED_PARAMS.high_water


@pytest.mark.parametrize("latency_s", [0.001, 0.05])
@pytest.mark.parametrize("kv_tokens", [4_000, 40_000])
def test_the_formula_is_near_the_simulator_on_a_short_chain(
    latency_s: float, kv_tokens: int
) -> None:
    stage = StageModel("s0", (0, 4), Steady(0.002, 2e-5), kv_tokens)
    pipeline = chain(*(replace(stage, name=f"s{i}", layers=(4 * i, 4 * i + 4)) for i in range(3)))
    pipeline = replace(
        pipeline, edges=tuple(replace(edge, latency_s=latency_s) for edge in pipeline.edges)
    )
    served = served_rate(pipeline, SPREAD)
    window = Window(20 * served.residence_s, 8 * served.residence_s, seed=3)
    outcome = simulate(
        pipeline,
        Offline(SpreadLengths(SPREAD.prompt_tokens, SPREAD.output_tokens)),
        CHUNKED,
        window,
    )
    assert served.decode_tokens_per_s == pytest.approx(outcome.decode_tokens_per_s, rel=0.3)


def test_a_route_passes_no_more_than_the_requests_that_it_has_room_for() -> None:
    # Alike but for their KV: the wide one fills its steps, and the narrow one waits for the link.
    steps = Steady(0.005)
    wide, narrow = (StageModel(f"s{kv}", (0, 4), steps, kv) for kv in (200_000, 4_000))
    edges = tuple(
        EdgeModel(source, target, 1e15, 0.03, 4, 0.5)
        for source, target in ((OUTSIDE, 0), (0, OUTSIDE), (OUTSIDE, 1), (1, OUTSIDE))
    )
    routes = (RouteModel((0,), 1), RouteModel((1,), 1))
    pipeline = PipelineModel(4, (wide, narrow), edges, routes)
    policy = replace(CHUNKED, max_decode_tokens=64)
    served = served_rate(pipeline, SPREAD, policy)
    window = Window(6 * served.residence_s, 2 * served.residence_s, seed=3)
    lengths = SpreadLengths(SPREAD.prompt_tokens, SPREAD.output_tokens)
    outcome = simulate(pipeline, Offline(lengths), policy, window)
    assert served.decode_tokens_per_s == pytest.approx(outcome.decode_tokens_per_s, rel=0.15)
