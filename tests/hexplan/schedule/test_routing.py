"""Routing: shares hold over any prefix, and only routes with room are taken."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from hexplan.schedule.kv_space import KvHold, KvSpace
from hexplan.schedule.routing import RouteChooser, WeightedRoundRobin, admit_in_order

WEIGHTS = st.lists(st.integers(1, 10**9), min_size=1, max_size=12)


@given(WEIGHTS)
def test_two_choices_stay_within_one_of_their_shares(weights: list[int]) -> None:
    pair = [*weights, 1][:2]
    turns, counts = WeightedRoundRobin(pair), [0, 0]
    for done in range(1, 400):
        counts[turns.take((0, 1))] += 1
        for count, weight in zip(counts, pair, strict=True):
            assert abs(count - done * weight / sum(pair)) <= 1


@given(WEIGHTS)
def test_no_choice_gets_ahead_of_its_share_by_one(weights: list[int]) -> None:
    """A count is above its share by less than 1; how far below depends on how many there are."""
    turns, counts = WeightedRoundRobin(weights), [0] * len(weights)
    every = range(len(weights))
    for done in range(1, 400):
        counts[turns.take(every)] += 1
        for count, weight in zip(counts, weights, strict=True):
            assert (count - 1) * sum(weights) < done * weight


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_a_full_cycle_gives_each_exactly_its_weight(weights: list[int]) -> None:
    turns, counts = WeightedRoundRobin(weights), [0] * len(weights)
    for _ in range(2):
        for _ in range(sum(weights)):
            counts[turns.take(range(len(weights)))] += 1
    assert counts == [2 * weight for weight in weights]


@given(WEIGHTS, st.data())
def test_only_usable_choices_are_taken(weights: list[int], data: st.DataObject) -> None:
    turns = WeightedRoundRobin(weights)
    usable = st.sets(st.sampled_from(range(len(weights))), min_size=1)
    for _ in range(20):
        some = sorted(data.draw(usable))
        assert turns.take(some) in some


def chooser(weights: list[int], capacity: int = 10) -> RouteChooser:
    """Return a chooser over routes of one stage each."""
    holds = [(KvHold(n, 1),) for n in range(len(weights))]
    return RouteChooser(weights, holds, KvSpace([capacity] * len(weights)))


def test_a_stage_that_is_down_closes_its_routes() -> None:
    routes = chooser([9, 1])
    assert {routes.choose(1, is_up=lambda stage: stage == 1) for _ in range(5)} == {1}
    assert routes.choose(1, is_up=lambda stage: False) is None


def test_a_route_of_weight_zero_is_never_taken_and_serves_nothing() -> None:
    assert {chooser([0, 1]).choose(1) for _ in range(5)} == {1}
    assert not chooser([0]).could_serve(1)
    assert (chooser([0]).longest_tokens, chooser([1]).longest_tokens) == (0, 10)


def test_requests_are_admitted_in_order_until_one_has_to_wait() -> None:
    waiting = deque([3, 4, 9, 1])
    admitted = list(admit_in_order(waiting, lambda request: request * 2 if request < 9 else None))
    assert (admitted, list(waiting)) == ([6, 8], [9, 1])
