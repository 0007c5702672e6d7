"""Requests come when and as long as they should."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pipelines import TokenSteps, chain

from hexplan.workload import Lengths
from hexplan_solver.simulate import (
    CHUNKED,
    Closed,
    Constant,
    FixedLengths,
    Offline,
    Poisson,
    Replay,
    SpreadLengths,
    Window,
    simulate,
)

SHORT = FixedLengths(4, 2)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 2000), st.integers(1, 3000), st.integers(0, 9))
def test_spread_lengths_keep_their_mean_and_their_maximum(
    mean: int, longest: int, seed: int
) -> None:
    mean, longest = min(mean, longest), max(mean, longest)
    lengths = Lengths(mean=mean, max=longest)
    draw, rng = SpreadLengths(lengths, lengths), random.Random(seed)
    drawn = [length for _ in range(4000) for length in draw(rng)]
    assert all(1 <= length <= longest for length in drawn)
    # 8000 draws whose standard deviation is at most their mean
    assert sum(drawn) / len(drawn) == pytest.approx(mean, rel=0.06)


def test_poisson_and_constant_arrivals_keep_their_rate() -> None:
    for traffic in (Poisson(4.0, SHORT), Constant(4.0, SHORT)):
        last_s = list(islice(traffic.arrivals(random.Random(0)), 20_000))[-1][0]
        assert 20_000 / last_s == pytest.approx(4.0, rel=0.03)


def test_a_faster_trace_comes_in_less_time() -> None:
    trace = ((0.0, 4, 2), (6.0, 4, 2))
    assert [at_s for at_s, _, _ in Replay(trace, 3.0).arrivals(random.Random(0))] == [0.0, 2.0]


def test_a_closed_system_keeps_its_population() -> None:
    outcome = simulate(chain(TokenSteps(0.01)), Closed(SHORT, 5, gap_s=0.0), CHUNKED, Window(50.0))
    assert outcome.arrived - outcome.finished == 5
    assert outcome.unfinished == 5


def test_offline_traffic_fills_the_kv_cache_to_the_mark_and_no_further() -> None:
    pipeline = chain(TokenSteps(0.001, 0.001), kv_tokens=600, max_prompts=9)
    outcome = simulate(pipeline, Offline(SHORT, gap_s=0.0), CHUNKED, Window(20.0, 5.0))
    # equal requests end together, so that a few are launched above the mark
    assert 0.7 < outcome.stages[0].mean_kv < 0.9
    assert outcome.stages[0].busy > 0.8  # it waits for its tokens to return between steps


def test_offline_traffic_serves_long_requests_as_often_as_they_come() -> None:
    lengths = Lengths(mean=40, max=160)
    pipeline = chain(TokenSteps(0.001, 0.001), kv_tokens=400, max_prompts=9)
    traffic = Offline(SpreadLengths(lengths, lengths), gap_s=0.0)
    window = Window(80.0, 10.0)
    waits = simulate(pipeline, traffic, CHUNKED, window)
    leaves = simulate(pipeline, replace(traffic, turns_away=True), CHUNKED, window)
    assert (waits.turned_away, leaves.turned_away > 20) == (0, True)
    decoded = [o.decode_tokens_per_s / o.requests_per_s for o in (waits, leaves)]
    assert decoded[0] == pytest.approx(39, rel=0.05)
    assert decoded[1] < 0.9 * 39


def test_traffic_without_an_end_needs_a_duration() -> None:
    with pytest.raises(ValueError, match="duration"):
        simulate(chain(TokenSteps(0.01)), Poisson(1.0, SHORT), CHUNKED, Window(None))
