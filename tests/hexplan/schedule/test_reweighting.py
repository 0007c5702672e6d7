from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexplan.schedule.reweighting import (
    MOST_FACTOR,
    LaneSeen,
    Reweighting,
    RouteSeen,
    UsualFlow,
    bounded_weights,
)

WHOLE = 10**9
weights = st.lists(st.integers(0, WHOLE), min_size=1, max_size=12)
slownesses = st.floats(1.0, 1e6)


@dataclass(frozen=True)
class Line:
    """A route by the book: a round of so many seconds, and so many tokens per second at most."""

    round_s: float
    most_per_s: float

    def seen(self, requests: float) -> RouteSeen:
        passed = min(requests / self.round_s, self.most_per_s)
        return RouteSeen(decodes=LaneSeen(requests, passed))


WELL = Line(0.05, 200.0)
TENTH = Line(0.05, 20.0)


@settings(max_examples=40)
@given(weights, st.data())
def test_weights_stay_within_a_factor_of_two_and_keep_their_sum(
    planned: list[int], data: st.DataObject
) -> None:
    slowness = data.draw(st.lists(slownesses, min_size=len(planned), max_size=len(planned)))
    found = bounded_weights(planned, slowness)
    assert sum(found) == sum(planned)
    for now, plan in zip(found, planned, strict=True):
        assert plan <= MOST_FACTOR * now
        assert now <= MOST_FACTOR * plan


@given(weights, slownesses)
def test_routes_that_are_equally_slow_keep_their_weights(planned: list[int], slow: float) -> None:
    assert bounded_weights(planned, [slow] * len(planned)) == tuple(planned)


@settings(max_examples=40)
@given(st.lists(st.integers(1000, WHOLE), min_size=2, max_size=12), st.data())
def test_a_slower_route_never_gains_on_a_faster_one(
    planned: list[int], data: st.DataObject
) -> None:
    slowness = data.draw(st.lists(slownesses, min_size=len(planned), max_size=len(planned)))
    found = bounded_weights(planned, slowness)
    gains = [now / plan for now, plan in zip(found, planned, strict=True)]
    order = sorted(range(len(planned)), key=slowness.__getitem__)
    assert all(gains[slower] <= gains[faster] + 0.01 for faster, slower in pairwise(order))


@pytest.mark.parametrize(
    ("planned", "slowness", "wanted"),
    [
        ((500, 500), (1, 2), (667, 333)),  # in proportion, where that is within bounds
        ((500, 500), (1, 10), (750, 250)),  # half of the plan's weight at least
        ((100, 900), (1, 10), (200, 800)),  # the small route takes twice its own at most
        ((400, 400, 200), (1, 10, 1), (533, 200, 267)),  # the others share what is left
        ((1000, 0), (10, 1), (1000, 0)),  # a route that the plan does not use stays unused
    ],
)
def test_weights_by_hand(
    planned: tuple[int, ...], slowness: tuple[float, ...], wanted: tuple[int, ...]
) -> None:
    found = bounded_weights(planned, slowness)
    assert found == pytest.approx(wanted, abs=1)


def after(reweighting: Reweighting, lines: list[Line], loads: list[float], looks: int) -> list[int]:
    """Return the weights after so many looks at lines with these requests."""
    seen = [line.seen(load) for line, load in zip(lines, loads, strict=True)]
    for _ in range(looks):
        reweighting.look(seen)
    return list(reweighting.weights)


def test_a_route_at_a_tenth_of_its_flow_gets_half_its_share_and_later_all_of_it() -> None:
    reweighting = Reweighting([500, 500])
    assert after(reweighting, [WELL, WELL], [4, 4], 10) == [500, 500]
    assert after(reweighting, [WELL, TENTH], [4, 6], 2) == [500, 500]
    assert after(reweighting, [WELL, TENTH], [4, 12], 10) == [750, 250]
    nearly = after(reweighting, [WELL, WELL], [6, 4], 10)
    assert 500 <= nearly[0] < 600
    assert after(reweighting, [WELL, WELL], [6, 4], 10) == [500, 500]


def test_requests_that_pile_up_on_a_slow_route_do_not_become_usual() -> None:
    reweighting = Reweighting([500, 500])
    after(reweighting, [WELL, WELL], [4, 4], 10)
    for piled in range(8, 64, 4):
        after(reweighting, [WELL, TENTH], [4, piled], 20)
    assert reweighting.weights == (750, 250)


def test_a_machine_that_is_slower_as_a_whole_changes_nothing() -> None:
    reweighting = Reweighting([300, 700])
    after(reweighting, [WELL, WELL], [4, 9], 10)
    slower = Line(0.5, 20.0)
    assert after(reweighting, [slower, slower], [4, 9], 50) == [300, 700]


def test_a_route_that_is_slow_by_nature_keeps_its_share() -> None:
    far = Line(0.5, 200.0)
    assert after(Reweighting([500, 500]), [WELL, far], [2, 20], 50) == [500, 500]


def test_a_stuck_route_is_slow_though_nothing_comes_out() -> None:
    reweighting = Reweighting([500, 500])
    after(reweighting, [WELL, WELL], [4, 4], 10)
    assert after(reweighting, [WELL, Line(1e9, 1.0)], [4, 4], 10) == [750, 250]


def test_a_route_without_requests_is_forgotten_to_be_slow() -> None:
    reweighting = Reweighting([500, 500])
    after(reweighting, [WELL, WELL], [4, 4], 10)
    after(reweighting, [WELL, TENTH], [4, 12], 10)
    assert after(reweighting, [WELL, TENTH], [4, 0], 40) == [500, 500]


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.floats(0.01, 2.0), st.floats(5.0, 1e4)), min_size=1, max_size=5),
    st.lists(st.lists(st.floats(0.0, 200.0), min_size=5, max_size=5), min_size=1, max_size=40),
)
def test_no_load_alone_makes_a_route_slow(
    kinds: list[tuple[float, float]], loads: list[list[float]]
) -> None:
    """Routes of any kind, each at any load at any time, as long as they stay what they are."""
    lines = [Line(*kind) for kind in kinds]
    planned = [100 + n for n in range(len(lines))]
    reweighting = Reweighting(planned)
    for load in loads:
        after(reweighting, lines, load[: len(lines)], 1)
    assert list(reweighting.weights) == planned


@given(st.floats(0.1, 100.0), st.floats(0.1, 1000.0), st.floats(0.01, 1000.0))
def test_more_requests_are_expected_to_pass_no_less_and_fewer_in_proportion(
    requests: float, tokens_per_s: float, other: float
) -> None:
    usual = UsualFlow()
    usual.learn(LaneSeen(requests, tokens_per_s))
    assert usual.least(requests) == pytest.approx(tokens_per_s)
    assert usual.least(other) == pytest.approx(tokens_per_s * min(1.0, other / requests))
