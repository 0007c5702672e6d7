"""Micro-batches: how decodes are divided, and that each token goes in once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexplan.schedule.micro_batches import Loop, Move, RouteDecodes, Visit, micro_batches
from hexplan.schedule.params import SCHEDULE_PARAMS

COSTS = st.floats(1e-4, 0.1)


def loop_of(*steps: tuple[float, float], hop_s: float = 0.0, share: float = 1.0) -> Loop:
    """Return stages whose step takes a fixed time and a time for each decode, with equal hops."""
    moves = [Move(hop_s, 0.0)] * (len(steps) + 1)
    return Loop([visit_of(*step, share) for step in steps], moves)


def visit_of(fixed_s: float, decode_s: float, share: float) -> Visit:
    return Visit(lambda decodes: fixed_s + decode_s * decodes, share)


@pytest.mark.parametrize("num_stages", [1, 2, 4, 7])
@pytest.mark.parametrize("decodes", [100, 400])
def test_equal_stages_get_a_micro_batch_each(num_stages: int, decodes: int) -> None:
    loop = loop_of(*[(0.01, 0.001)] * num_stages, hop_s=1e-5)
    assert micro_batches(loop, decodes, decodes) == num_stages


def test_routes_that_share_all_stages_divide_the_micro_batches() -> None:
    """As many under way as stages: two routes of equal weight get two of the four each."""
    loop = loop_of(*[(0.01, 0.001)] * 4, hop_s=1e-5, share=0.5)
    assert micro_batches(loop, 200, 200) == 2


def test_a_stage_whose_tokens_are_away_for_long_gets_more_than_one() -> None:
    """Away for 90 ms, with steps of 10 ms: ten micro-batches fill the round."""
    loop = loop_of((0.01, 1e-3), hop_s=0.045)
    assert micro_batches(loop, 1000, 1000) > 1
    assert micro_batches(loop_of((0.01, 0.0), hop_s=0.045), 1000, 1000) == 1  # as steps stay equal


def test_a_step_that_takes_few_decodes_divides_them_further() -> None:
    assert micro_batches(loop_of((0.01, 0.001)), 100, 30) == 4


@given(
    steps=st.lists(st.tuples(COSTS, COSTS), min_size=1, max_size=4),
    hop_s=st.floats(0.0, 0.2),
    decodes=st.integers(1, 60),
    largest=st.integers(1, 60),
)
def test_no_other_division_has_a_much_shorter_round(
    steps: list[tuple[float, float]], hop_s: float, decodes: int, largest: int
) -> None:
    """Against all divisions: the way alone, or all steps of the slowest stage."""
    loop = loop_of(*steps, hop_s=hop_s)

    def round_s(count: int) -> float:
        sizes = [(decodes + part) // count for part in range(count)]
        alone_s = sum(a + b * max(sizes) for a, b in steps) + (len(steps) + 1) * hop_s
        return max(alone_s, sum(max(a + b * size for a, b in steps) for size in sizes))

    counts = range(min(decodes, -(-decodes // largest)), decodes + 1)
    chosen = micro_batches(loop, decodes, largest)
    assert chosen in counts
    assert round_s(chosen) <= min(map(round_s, counts)) * (1 + SCHEDULE_PARAMS.near) * (1 + 1e-9)


def test_tokens_that_come_back_during_a_step_share_the_next_one() -> None:
    route: RouteDecodes[str] = RouteDecodes(loop_of((0.01, 0.001)), largest=8)
    route.wait("a")
    assert route.take() == [["a"]]
    route.wait("b")
    route.wait("c")
    assert route.take() == []  # one micro-batch is under way, and one stage runs one at a time
    route.come_back("a")
    route.wait("a")
    assert route.take() == [["b", "c", "a"]]


def test_a_lost_request_makes_room_for_the_next_micro_batch() -> None:
    route: RouteDecodes[str] = RouteDecodes(loop_of((0.01, 0.001)), largest=8)
    for name in "ab":
        route.wait(name)
    assert route.take() == [["a", "b"]]
    route.wait("c")
    route.wait("d")
    route.drop("a")
    route.drop("d")
    assert route.take() == []
    route.drop("b")
    assert route.take() == [["c"]]


@given(
    num_stages=st.integers(1, 4),
    users=st.integers(1, 30),
    largest=st.integers(1, 30),
)
def test_every_token_goes_in_once_and_few_micro_batches_are_under_way(
    num_stages: int, users: int, largest: int
) -> None:
    loop = loop_of(*[(0.01, 0.001)] * num_stages)
    route: RouteDecodes[int] = RouteDecodes(loop, largest)
    sent = [0] * users
    away: list[list[int]] = []
    for user in range(users):
        route.wait(user)
    for _ in range(5 * users):
        away += route.take()
        assert sum(map(len, away)) <= users
        assert len(away) <= max(num_stages, -(-users // largest))
        assert all(len(batch) <= largest for batch in away)
        batch = away.pop(0)
        for user in batch:
            sent[user] += 1
            route.come_back(user)
            route.wait(user)
    assert min(sent) >= 1
