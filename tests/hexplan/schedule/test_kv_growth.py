"""KV growth: who makes way leaves room for those who stay, and never the oldest."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexplan.schedule.kv_growth import (
    PAGE_TOKENS,
    Share,
    first_reservation,
    grown_reservation,
    who_makes_way,
)
from hexplan.schedule.kv_space import KvHold, KvSpace

CHAINS = [[0], [1], [2], [0, 1], [1, 2], [0, 1, 2]]


@st.composite
def full_spaces(draw: st.DrawFn) -> tuple[KvSpace, list[Share], list[Share], list[Share]]:
    """Return a space, what is wanted, held and about to be free, each request with a page free."""
    count = draw(st.integers(1, 8))
    chains = [
        [KvHold(stage, layers=draw(st.integers(1, 3))) for stage in draw(st.sampled_from(CHAINS))]
        for _ in range(count)
    ]
    shares = [Share(age, chains[age], draw(st.integers(1, 60))) for age in range(count)]
    num_leaving = draw(st.integers(0, count - 1))
    leaving, held = shares[:num_leaving], shares[num_leaving:]
    wanted = [Share(share.age, share.holds, PAGE_TOKENS) for share in held if draw(st.booleans())]
    # Alone, each request has room for what it wants, as the check at its arrival makes sure.
    least = max(hold.layers for chain in chains for hold in chain) * (60 + PAGE_TOKENS)
    used = [0, 0, 0]
    for share in shares:
        for hold in share.holds:
            used[hold.stage] += hold.layers * share.tokens
    space = KvSpace([max(least, amount + draw(st.integers(0, 20))) for amount in used])
    for share in shares:
        space.reserve(share.holds, share.tokens)
    return space, wanted, held, leaving


@given(full_spaces())
def test_those_who_stay_have_room_once_the_others_are_gone(
    case: tuple[KvSpace, list[Share], list[Share], list[Share]],
) -> None:
    space, wanted, held, leaving = case
    gone = who_makes_way(space, wanted, held, leaving)
    for share in [*leaving, *(share for share in held if share.age in gone)]:
        space.release(share.holds, share.tokens)
    for share in wanted:
        if share.age not in gone:
            assert space.grow(share.holds, share.tokens)


@given(full_spaces())
def test_the_oldest_stays_and_nobody_goes_in_vain(
    case: tuple[KvSpace, list[Share], list[Share], list[Share]],
) -> None:
    space, wanted, held, leaving = case
    gone = who_makes_way(space, wanted, held, leaving)
    assert len(set(gone)) == len(gone)
    assert min(share.age for share in held) not in gone
    for share in leaving:
        space.release(share.holds, share.tokens)
    if fit_together(space, wanted):
        assert gone == []


def fit_together(space: KvSpace, wanted: Sequence[Share]) -> bool:
    need = [0] * len(space.capacity)
    for share in wanted:
        for hold in share.holds:
            need[hold.stage] += hold.layers * share.tokens
    free = (a - r for a, r in zip(space.capacity, space.reserved, strict=True))
    return all(n <= f for n, f in zip(need, free, strict=True))


def test_the_youngest_on_the_full_stage_goes() -> None:
    space = KvSpace([100, 100])
    first, second, both = [KvHold(0, 1)], [KvHold(1, 1)], [KvHold(0, 1), KvHold(1, 1)]
    held = [Share(0, both, 40), Share(1, first, 50), Share(2, second, 40), Share(3, second, 20)]
    for share in held:
        space.reserve(share.holds, share.tokens)
    assert who_makes_way(space, [Share(0, both, 10)], held, []) == [3]
    assert who_makes_way(space, [Share(0, both, 20)], held, []) == [3, 1]
    assert who_makes_way(space, [Share(3, second, 20)], held, []) == [3]


@pytest.mark.parametrize(
    ("expected", "is_again", "reserved"), [(None, False, 70), (16, False, 36), (16, True, 70)]
)
def test_a_request_that_had_to_make_way_once_gets_all_that_it_needs(
    expected: int | None, is_again: bool, reserved: int
) -> None:
    assert first_reservation(20, 50, expected, is_again=is_again) == reserved


def test_a_reservation_grows_in_pages_up_to_its_most() -> None:
    assert grown_reservation(36, 70) == 52
    assert grown_reservation(68, 70) == 70
