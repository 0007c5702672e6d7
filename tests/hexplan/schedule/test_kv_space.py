"""KV space: what is reserved never exceeds a cache, and all of it comes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexplan.schedule.kv_space import KvHold, KvSpace

ROUTE = (KvHold(0, 4), KvHold(1, 2, prompt_layers=1))
REQUESTS = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 40)), max_size=30)


@given(REQUESTS)
def test_admitted_requests_never_exceed_the_limit_and_leave_nothing(
    requests: list[tuple[int, int]],
) -> None:
    space = KvSpace([400, 300], fill=0.8)
    admitted = []
    for tokens, prompt_tokens in requests:
        if space.has_room(ROUTE, tokens, prompt_tokens):
            space.reserve(ROUTE, tokens, prompt_tokens)
            admitted.append((tokens, prompt_tokens))
        assert all(u <= m for u, m in zip(space.reserved, space.limit, strict=True))
        assert space.limit == (320, 240)
    for tokens, prompt_tokens in admitted:
        space.release(ROUTE, tokens, prompt_tokens)
    assert space.reserved == [0, 0]


def test_room_is_that_of_the_fullest_stage() -> None:
    space = KvSpace([40, 40])
    space.reserve((KvHold(1, 2),), 15)
    assert space.has_room(ROUTE, 3, 4)  # 2 * 3 + 1 * 4 of the last 10
    assert not space.has_room(ROUTE, 3, 5)
    assert space.fits_when_empty(ROUTE, 10, 20)
    assert not space.fits_when_empty(ROUTE, 11, 0)
    assert space.longest_tokens((KvHold(0, 4),)) == 10


def test_contexts_may_grow_beyond_what_admission_fills_until_a_cache_is_full() -> None:
    space = KvSpace([12, 100], fill=0.5)
    space.reserve(ROUTE, 1)
    assert [space.grow(ROUTE), space.grow(ROUTE), space.grow(ROUTE)] == [True, True, False]
    assert space.reserved == [12, 6], "a refused token takes nothing"


def test_freeing_twice_is_noticed() -> None:
    space = KvSpace([12, 100])
    space.reserve(ROUTE, 1)
    space.release(ROUTE, 1)
    with pytest.raises(AssertionError, match="freed twice"):
        space.release(ROUTE, 1)
