"""Times of steps in two lanes, against a count of what is hidden behind what, turn by turn."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.interleaved_plans import interleaved_plan
from support.plans import resealed

from hexplan.cluster import Profile
from hexplan.cost import StageShape
from hexplan.cost.interleaving import InterleavedStepTimes, LaneTimes, slowdown_of
from hexplan.schedule.interleaving import pieces_of
from hexplan.techniques import SLOWDOWN, Interleave, Techniques

ONE = Decimal(1)


class PlainTimes:
    """A layer of 4 s per token after 2 s, beside sums of given length."""

    origin = "made up"
    measured_tokens = None

    def __init__(self, lanes: LaneTimes) -> None:
        self._lanes = lanes

    def layer_s(self, prompt: int, reach: float, decode: int, context: float) -> float:
        tokens = prompt + decode
        return 2.0 + 4.0 * tokens + self._lanes.plain_s(tokens)

    def head_s(self, rows: int) -> float:
        return float(rows)


def lanes_of(start_s: float, token_s: float, slowdown: Decimal = ONE, layers: int = 5) -> LaneTimes:
    how = Interleave(from_tokens=4, piece_tokens=1000, slowdown=slowdown)
    return LaneTimes(start_s, token_s, layers, how)


def played_s(compute_s: float, sum_s: float, turns: int) -> float:
    """Return when two equal lanes are through, one of which computes while one link sums up."""
    free_s = link_s = 0.0
    ready = [0.0, 0.0]
    for _ in range(turns):
        for lane in (0, 1):
            free_s = max(free_s, ready[lane]) + compute_s
            link_s = max(link_s, free_s) + sum_s
            ready[lane] = link_s
    return max(ready)


@given(st.floats(0, 3), st.floats(0.01, 20), st.integers(2, 40), st.integers(1, 30))
def test_a_step_takes_as_long_as_when_lanes_are_played_turn_by_turn(
    start_s: float, token_s: float, half: int, layers: int
) -> None:
    lanes = lanes_of(start_s, token_s, layers=layers)
    steps = InterleavedStepTimes(PlainTimes(lanes), lanes)
    found_s = layers * steps.layer_s(2 * half, 0.0, 0, 0.0)
    assert found_s == pytest.approx(
        played_s((2 + 4 * half) / 2, lanes.lane_s(half) / 2, 2 * layers), rel=1e-9
    )


def test_steps_below_the_threshold_are_plain() -> None:
    lanes = lanes_of(1.0, 3.0)
    plain = PlainTimes(lanes)
    steps = InterleavedStepTimes(plain, lanes)
    assert steps.layer_s(1, 0.0, 2, 9.0) == plain.layer_s(1, 0.0, 2, 9.0)
    assert steps.layer_s(2, 0.0, 2, 9.0) != plain.layer_s(2, 0.0, 2, 9.0)
    assert steps.head_s(3) == 3.0


@given(st.integers(4, 500), st.integers(0, 500))
def test_a_slowdown_counts_only_while_both_go_on(prompt: int, decode: int) -> None:
    twice, once = (
        InterleavedStepTimes(PlainTimes(lanes), lanes).layer_s(prompt, 0.0, decode, 0.0)
        for lanes in (lanes_of(1.0, 3.0, Decimal(2)), lanes_of(1.0, 3.0))
    )
    tokens = prompt + decode
    sums_s = 2 * (2 * 1.0 + tokens * 3.0)
    computing_s = 2 * 2.0 + 4.0 * tokens
    assert twice - once == pytest.approx(min(sums_s, computing_s))


@pytest.mark.parametrize(
    ("asked", "measured", "counts"),
    [(None, None, "1.15"), (None, "1.6", "1.6"), ("1.3", "1.6", "1.3"), ("1.3", None, "1.3")],
)
def test_the_slowdown_is_that_asked_for_or_that_of_the_profile_or_the_stated_one(
    asked: str | None, measured: str | None, counts: str
) -> None:
    given, found = (None if one is None else Decimal(one) for one in (asked, measured))
    plan = interleaved_plan()
    shape = StageShape.of(plan, plan.stages[0])
    alike = replace(shape, group=shape.group[:1] * 2)
    name = alike.devices[0].profile_name
    profile = Profile(device=name, tp=2, tokens_per_s=(ONE,), slowdown=found, source="this test")
    techniques = Techniques(slowdown=given)
    plan = resealed(plan, profiles=(profile,), techniques=techniques)
    assert slowdown_of(plan.cluster, alike) == Decimal(counts)
    # Nobody measured groups of three.
    assert slowdown_of(plan.cluster, shape) == (given or SLOWDOWN)


def test_each_piece_of_a_lane_starts_a_sum() -> None:
    how = Interleave(from_tokens=4, piece_tokens=10, slowdown=ONE)
    lanes = LaneTimes(1.0, 0.5, 3, how)
    assert len(pieces_of(35, how)) == 3
    assert lanes.lane_s(35) == 2 * (3 * 1.0 + 35 * 0.5)
    assert lanes.plain_s(35) == 2 * (1.0 + 35 * 0.5)
